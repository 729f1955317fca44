"""What the person at the terminal sees; where no terminal is, the same as plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.render import Role
from appnet.observe.records import RecordValue
from appnet.observe.store import StreamKey, StreamSummary

_LONGEST_VALUE = 60
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


class Rates:
    """How fast each stream grows, between one look and the next."""

    def __init__(self) -> None:
        self._counts: dict[StreamKey, int] = {}
        self._looked = time.monotonic()

    def look(self, summaries: Iterable[StreamSummary]) -> dict[StreamKey, float]:
        """Records a second of each stream since the last look."""
        now = time.monotonic()
        elapsed = max(now - self._looked, 1e-3)
        counts = {it.key: it.count for it in summaries}
        rates = {key: (count - self._counts.get(key, 0)) / elapsed for key, count in counts.items()}
        self._counts, self._looked = counts, now
        return rates


def show_diagnostics(out: Console, diagnostics: Iterable[Diagnostic]) -> None:
    """Each diagnostic with the line it is about, and an empty line after it."""
    for diagnostic in diagnostics:
        out.print(_coloured(diagnostic), end="\n\n")


def _coloured(diagnostic: Diagnostic) -> Text:
    """The text of `Diagnostic.render`; a console that has no colours shows just that."""
    styles = _STYLES | dict.fromkeys((Role.SEVERITY, Role.PRIMARY), _COLOURS[diagnostic.severity])
    lines = (Text.assemble(*((it.text, styles[it.role]) for it in line)) for line in diagnostic.lines())
    return Text("\n").join(lines)


def stream_name(key: StreamKey) -> str:
    """``ELEMENT.VARIABLE``."""
    return f"{key.element}.{key.variable}"


def value_text(value: RecordValue) -> str:
    """A record's value on one line, cut where it is long."""
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def stream_line(summary: StreamSummary) -> str:
    """A stream on one line: how many records, what they are like."""
    line = f"{stream_name(summary.key)}: {summary.count} records, the latest {value_text(summary.latest.value)}"
    if summary.floats is None:
        return line
    return f"{line}, median {value_text(summary.floats.p50)}, p99 {value_text(summary.floats.p99)}"


def stream_table(summaries: Iterable[StreamSummary], rates: dict[StreamKey, float]) -> Table:
    """All streams, a row each."""
    table = Table("records of", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("count", "per second", "median", "p99"):
        table.add_column(title, justify="right")
    table.add_column("latest", no_wrap=True)
    for it in summaries:
        floats = (value_text(it.floats.p50), value_text(it.floats.p99)) if it.floats else ("", "")
        rate = f"{rates.get(it.key, 0.0):.0f}"
        table.add_row(stream_name(it.key), str(it.count), rate, *floats, value_text(it.latest.value))
    return table
