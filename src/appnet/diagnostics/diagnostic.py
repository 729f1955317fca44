"""What users are told about their programs and configurations: code, place, cause and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import Remedy
from appnet.diagnostics.render import Line, lines_of


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Diagnostic:
    """One thing to tell.

    ``code`` is stable and never reused (`pages` has a page for each), ``title`` says what is wrong,
    ``label`` stands under the marked source and says why, ``help`` says how to mend it. ``places`` are others that
    explain it, in any file. ``remedies`` are the ways to mend it that can be applied as they stand.
    """

    code: str
    severity: Severity
    title: str
    span: Span
    label: str = ""
    help: str = ""
    places: tuple[Label, ...] = ()
    remedies: tuple[Remedy, ...] = ()

    @property
    def labels(self) -> tuple[Label, ...]:
        """All places, the one that it is about first."""
        return (Label(self.span, self.label), *self.places)

    def render(self) -> str:
        """Text for people, without colour; of what cannot be read no line is shown."""
        return "\n".join("".join(piece.text for piece in line) for line in self.lines())

    def lines(self) -> Iterator[Line]:
        """The text that `render` gives, line by line, each in pieces for those who colour them."""
        texts = {it.span.source: shown_text(it.span.source) for it in self.labels}
        return lines_of((self.severity.value, self.code, self.title), self.labels, self.help, texts)


def shown_text(source: Source) -> str:
    """As much of its text as can be shown."""
    try:
        return source.text()
    except UnreadableError as error:
        return error.shown


class DiagnosticError(Exception):
    """Input by the user that cannot be used; carries every error found, at least one."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n\n".join(it.render() for it in self.diagnostics)


class UnreadableError(DiagnosticError):
    """A source whose text cannot be had. ``reason``: why, in a few words; ``shown``: as much as can be shown of it."""

    def __init__(self, diagnostic: Diagnostic, reason: str, shown: str = "") -> None:
        super().__init__([diagnostic])
        self.reason = reason
        self.shown = shown


class InternalError(AssertionError):
    """The compiler made something that breaks its own rules; ``node`` is what breaks them."""

    def __init__(self, rule: str, node: object) -> None:
        super().__init__(f"{rule}: {node!r}")
        self.node = node
