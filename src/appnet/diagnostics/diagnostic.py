"""What users are told about their programs and configurations: code, place, cause and remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appnet.diagnostics.source import Source

_MAX_LINE = 120  # characters of a line that are shown


@dataclass(frozen=True)
class Span:
    """A place in a source. Lines and columns count from 1; ``end_column`` is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    @staticmethod
    def whole(source: Source) -> Span:
        """The source as such: it is shown at its beginning."""
        return Span(source, 1, 1, 1, 2)


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Diagnostic:
    """One thing to tell.

    ``code`` is stable and never reused (docs/diagnostics.md lists them), ``title`` says what is wrong,
    ``label`` stands under the marked source and says why, ``help`` says how to mend it.
    """

    code: str
    severity: Severity
    title: str
    span: Span
    label: str = ""
    help: str = ""

    def render(self) -> str:
        """Text for people: the title, the place, the marked line where the source can be read, the help."""
        lines = _source_lines(self.span.source)
        number = str(self.span.line)
        gutter = " " * len(number)
        out = [f"{self.severity.value}[{self.code}]: {self.title}"]
        out.append(f"{gutter}--> {self.span.source.name}:{self.span.line}:{self.span.column}")
        if 0 < self.span.line <= len(lines):
            text, marker = self._excerpt(lines[self.span.line - 1])
            out += [f"{gutter} |", f"{number} | {text}", f"{gutter} | {marker}".rstrip()]
        if self.help:
            out += [f"{gutter} |", f"{gutter} = help: {self.help}"]
        return "\n".join(out)

    def _excerpt(self, line: str) -> tuple[str, str]:
        """The line and what stands under it; of a long line only what surrounds the place."""
        start = self.span.column - 1
        end = self.span.end_column - 1 if self.span.end_line == self.span.line else len(line)
        before = len(line[:start].expandtabs(4))
        marked = max(len(line[: max(end, start + 1)].expandtabs(4)) - before, 1)
        text = line.expandtabs(4)
        if len(text) > _MAX_LINE:
            cut = max(0, before - _MAX_LINE // 3)
            text = ("… " if cut else "") + text[cut : cut + _MAX_LINE] + (" …" if cut + _MAX_LINE < len(text) else "")
            before, marked = before - cut + (2 if cut else 0), min(marked, _MAX_LINE - (before - cut))
        return text, " " * before + "^" * marked + (f" {self.label}" if self.label else "")


def shown_text(source: Source) -> str:
    """As much of its text as can be shown."""
    try:
        return source.text()
    except UnreadableError as error:
        return error.shown


def _source_lines(source: Source) -> list[str]:
    text = shown_text(source)
    lines = text.removesuffix("\n").split("\n") if text else []  # as the lexer counts lines
    return [line.removesuffix("\r") for line in lines]


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
