"""What the person at the terminal sees; where no terminal is, the same as plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.status import Status
from rich.text import Text

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.render import Line, Role

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold green"}
_STYLES = {
    Role.TITLE: "bold",
    Role.GUTTER: "bold blue",
    Role.SOURCE: "",
    Role.SECONDARY: "bold blue",
    Role.HELP: "bold cyan",
}


class Steps:
    """Shows what is being done. On a terminal the step spins and leaves its time; elsewhere each is a line."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._status: Status | None = None
        self._text = ""
        self._began = 0.0

    def begin(self, text: str) -> None:
        """Ends the step before and begins the one that ``text`` names."""
        self.end()
        self._text, self._began = text, time.monotonic()
        if self._out.is_terminal:
            self._status = self._out.status(f"{text} …")
            self._status.start()
        else:
            self._out.print(f"{text} …", markup=False)

    def end(self) -> None:
        """Ends the current step, if there is one."""
        if self._status is not None:
            self.abandon()
            self._out.print(f"[green]✓[/] {self._text} [dim]({time.monotonic() - self._began:.1f} s)[/]")

    def abandon(self) -> None:
        """Leaves the current step unfinished."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def tell(out: Console, text: str, style: str = "") -> None:
    """Prints each line of the text; on a terminal that is too narrow for it, broken between words and indented."""
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip()) + 2
        out.print(_fitted(out, Text(line), indent), style=style)


def counted(number: int, noun: str) -> str:
    """The number with its noun, in the plural where it is not one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def show_diagnostics(out: Console, diagnostics: Iterable[Diagnostic]) -> None:
    """Each diagnostic with the line it is about, and an empty line after it."""
    for diagnostic in diagnostics:
        out.print(_coloured(out, diagnostic), end="\n\n")


def _coloured(out: Console, diagnostic: Diagnostic) -> Text:
    """The text of `Diagnostic.render`; a console that has no colours shows just that.

    On a terminal the words break where it ends; what the user wrote stays as it is.
    """
    styles = _STYLES | dict.fromkeys((Role.SEVERITY, Role.PRIMARY), _COLOURS[diagnostic.severity])
    return Text("\n").join(_coloured_line(out, line, styles) for line in diagnostic.lines())


def _coloured_line(out: Console, line: Line, styles: Mapping[Role, str]) -> Text:
    text = Text.assemble(*((it.text, styles[it.role]) for it in line))
    match [it.role for it in line]:
        case [Role.SEVERITY, Role.TITLE]:
            return _fitted(out, text, 2)
        case [Role.GUTTER, Role.HELP, _]:
            return _fitted(out, text, text.plain.index("help: ") + len("help: "))
    return text


def _fitted(out: Console, text: Text, indent: int) -> Text:
    """The line, which is broken where a terminal is too narrow for it, and goes on behind ``indent`` blanks."""
    if text.cell_len <= out.width or not out.file.isatty():
        return text
    first = text.wrap(out, out.width)[0]
    rest = text[len(first) :]
    rest = rest[len(rest) - len(rest.plain.lstrip()) :]
    more = rest.wrap(out, max(out.width - indent, 1))
    return Text("\n").join([first, *(Text(" " * indent).append_text(it) for it in more)])
