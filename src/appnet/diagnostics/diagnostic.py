"""What users are told about their programs and configurations: code, place, cause and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from appnet.diagnostics.render import Line, lines_of


@dataclass(frozen=True)
class Span:
    """A place in a source file. Lines and columns count from 1; ``end_column`` is exclusive."""

    file: Path
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Label:
    """Another place that explains a diagnostic, and what it has to do with it: "declared here"."""

    span: Span
    text: str


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Diagnostic:
    """One thing to tell.

    ``code`` is stable and never reused (`pages` has a page for each), ``title`` says what is wrong,
    ``label`` stands under the marked source and says why, ``help`` says how to mend it. ``places`` are others that
    explain it, in any file.
    """

    code: str
    severity: Severity
    title: str
    span: Span
    label: str = ""
    help: str = ""
    places: tuple[Label, ...] = ()

    @property
    def labels(self) -> tuple[Label, ...]:
        """All places, the one that it is about first."""
        return (Label(self.span, self.label), *self.places)

    def render(self, source: str | None = None) -> str:
        """Text for people, without colour.

        ``source`` is the text of the diagnostic's file; without it files are read, and where that fails no line is
        shown.
        """
        return "\n".join("".join(piece.text for piece in line) for line in self.lines(source))

    def lines(self, source: str | None = None) -> Iterator[Line]:
        """The text that `render` gives, line by line, each in pieces for those who colour them."""
        return lines_of(self, source)


class DiagnosticError(Exception):
    """Input by the user that cannot be used; carries every error found, at least one."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n\n".join(it.render() for it in self.diagnostics)


class InternalError(AssertionError):
    """The compiler made something that breaks its own rules; ``node`` is what breaks them."""

    def __init__(self, rule: str, node: object) -> None:
        super().__init__(f"{rule}: {node!r}")
        self.node = node
