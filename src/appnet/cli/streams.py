"""Records of a running application, stream by stream, as lines and as a table."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from appnet.observe.shown import value_text
from appnet.observe.store import StreamKey, StreamSummary


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


def stream_name(key: StreamKey) -> str:
    """``ELEMENT.VARIABLE``."""
    return f"{key.element}.{key.variable}"


def stream_line(summary: StreamSummary) -> str:
    """A stream on one line: how many records, what they are like."""
    line = f"{stream_name(summary.key)}: {summary.count} records, latest {value_text(summary.latest.value)}"
    if summary.floats is None:
        return line
    return f"{line}, median {value_text(summary.floats.p50)}, p99 {value_text(summary.floats.p99)}"


def stream_table(summaries: Iterable[StreamSummary], rates: dict[StreamKey, float]) -> Table:
    """All streams, a row each; where that is too wide, the latest value is cut."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    table.add_column("records of", no_wrap=True)
    for title in ("count", "per second", "median", "p99"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("latest", no_wrap=True, ratio=1)
    for it in summaries:
        floats = (value_text(it.floats.p50), value_text(it.floats.p99)) if it.floats else ("", "")
        rate = f"{rates.get(it.key, 0.0):.0f}"
        name, latest = Text(stream_name(it.key)), Text(value_text(it.latest.value))  # no markup: callers write values
        table.add_row(name, str(it.count), rate, *floats, latest)
    return table
