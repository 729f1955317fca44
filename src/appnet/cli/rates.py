"""What chains did between two looks at their counts, as `appnetctl top` shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appnet.cli.live import plain
from appnet.observe.points import Histogram, increase
from appnet.observe.shown import time_shown, value_text

_WHERE = ("client", "server", "side", "method")
_BY = {
    "refusals": ("client", "server", "side", "method", "element", "handler", "code"),
    "replies": ("client", "server", "side", "method", "element", "handler"),
    "rows": ("client", "server", "side", "method", "element", "handler", "row"),
    "evictions": ("client", "server", "side", "element"),
    "dropped": ("client", "server", "side", "element", "variable"),
}
_STREAM = ("element", "variable")


def rates(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Of each kind, what there is in ``after`` for all versions together: its ``count``, and how many were new since
    ``before``, ``per_second``. Calls have the ``p50`` and ``p99`` of those that ended in between, in seconds, and how
    many each version judged a second."""
    seconds = max(after["time"] - before["time"], 1e-3)
    found: dict[str, Any] = {"calls": list(_calls(before["calls"], after["calls"], seconds))}
    for kind, by in _BY.items():
        found[kind] = list(_grown(before[kind], after[kind], by, seconds))
    refused: dict[tuple[str, ...], float] = {}
    for it in found["refusals"]:
        where = tuple(it[key] for key in _WHERE)
        refused[where] = refused.get(where, 0.0) + it["per_second"]
    for it in found["calls"]:
        it["refused_per_second"] = round(refused.get(tuple(it[key] for key in _WHERE), 0.0), 2)
    counts = {tuple(it[key] for key in _STREAM): it["count"] for it in before["records"]}
    found["records"] = [
        {**it, "per_second": _rate(it["count"], counts.get(tuple(it[key] for key in _STREAM), 0), seconds)}
        for it in after["records"]
    ]
    found["seconds"] = round(seconds, 3)
    found["refused_points"] = after.get("refused_points", 0)
    found["lost"] = after.get("lost", [])
    return found


def _rate(now: int, before: int, seconds: float) -> float:
    return round(increase(before, now) / seconds, 2)


def _sums(entries: Iterable[dict[str, Any]], by: tuple[str, ...], key: str = "count") -> dict[tuple[str, ...], int]:
    sums: dict[tuple[str, ...], int] = {}
    for it in entries:
        name = tuple(it[part] for part in by)
        sums[name] = sums.get(name, 0) + it[key]
    return sums


def _grown(
    before: list[dict[str, Any]], after: list[dict[str, Any]], by: tuple[str, ...], seconds: float
) -> Iterator[dict[str, Any]]:
    earlier = _sums(before, by)
    for name, count in _sums(after, by).items():
        yield {
            **dict(zip(by, name, strict=True)),
            "count": count,
            "per_second": _rate(count, earlier.get(name, 0), seconds),
        }


def _calls(before: list[dict[str, Any]], after: list[dict[str, Any]], seconds: float) -> Iterator[dict[str, Any]]:
    flying, ended_before, ended = _sums(after, _WHERE, "in_flight"), _durations(before), _durations(after)
    versions: dict[tuple[str, ...], dict[str, float]] = {}
    for it in _grown(before, after, (*_WHERE, "version"), seconds):
        versions.setdefault(tuple(it[key] for key in _WHERE), {})[it["version"]] = it["per_second"]
    for it in _grown(before, after, _WHERE, seconds):
        where = tuple(it[key] for key in _WHERE)
        lately = ended.get(where)
        if lately is not None and where in ended_before:
            lately = lately.plus(ended_before[where], -1)
        yield {
            **it,
            "in_flight": flying[where],
            "p50": _seconds(lately, 0.5),
            "p99": _seconds(lately, 0.99),
            "versions": versions[where],
        }


def _durations(entries: Iterable[dict[str, Any]]) -> dict[tuple[str, ...], Histogram]:
    found: dict[tuple[str, ...], Histogram] = {}
    for it in entries:
        if it["duration"] is None:
            continue
        name, took = tuple(it[key] for key in _WHERE), it["duration"]
        histogram = Histogram(took["scale"], took["first"], tuple(took["counts"]), took["sum"])
        found[name] = found[name].plus(histogram) if name in found else histogram
    return found


def _seconds(histogram: Histogram | None, share: float) -> float | None:
    value = math.nan if histogram is None else histogram.quantile(share)
    return None if math.isnan(value) else float(f"{value:.3g}")


# --- for people ---


def rates_shown(found: dict[str, Any]) -> RenderableType:
    """Calls, refusals and records as tables, those that there are."""
    tables = [_calls_table(found["calls"]), _refusals_table(found["refusals"]), _records_table(found["records"])]
    shown: list[RenderableType] = []
    for it in tables:
        if it.row_count:
            shown += ["", it] if shown else [it]
    told = list(found["lost"])
    if found["refused_points"]:
        told.append(f"{found['refused_points']} counts were not taken: there are too many instances or series")
    if told:
        shown += ["", *map(Text, map(plain, told))] if shown else [*map(Text, map(plain, told))]
    return Group(*shown)


def _table(*left: str, right: Iterable[str], last: str = "") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in left:
        table.add_column(title)
    for title in right:
        table.add_column(title, justify="right", no_wrap=True)
    if last:
        table.add_column(last)
    return table


def _calls_table(calls: list[dict[str, Any]]) -> Table:
    table = _table("calls of", right=("calls/s", "refused/s", "in flight", "p50", "p99", "count"), last="versions")
    for it in calls:
        running = [version for version, rate in it["versions"].items() if rate] or list(it["versions"])[-1:]
        table.add_row(
            Text(plain(f"{it['client']} → {it['server']} ({it['side']}) {it['method'].rpartition('/')[2]}")),
            f"{it['per_second']:.1f}",
            f"{it['refused_per_second']:.1f}",
            str(it["in_flight"]),
            time_shown(it["p50"]),
            time_shown(it["p99"]),
            str(it["count"]),
            Text(plain(" ".join(running))),
        )
    return table


def _refusals_table(refusals: list[dict[str, Any]]) -> Table:
    table = _table("refused by", "with", right=("per second", "count"))
    for it in sorted(refusals, key=lambda one: (-one["per_second"], -one["count"])):
        element = it["element"] or "no element"
        handler = f" ({it['handler']})" if it["handler"] not in ("", "req") else ""
        table.add_row(
            Text(plain(element + handler)), Text(plain(it["code"])), f"{it['per_second']:.1f}", str(it["count"])
        )
    return table


def _records_table(streams: list[dict[str, Any]]) -> Table:
    table = _table("records of", right=("count", "per second", "median", "p99"), last="latest")
    for it in streams:
        numbers = ("" if it[key] is None else value_text(it[key]) for key in ("median", "p99"))
        name, latest = plain(f"{it['element']}.{it['variable']}"), plain(value_text(it["latest"]))
        table.add_row(Text(name), str(it["count"]), f"{it['per_second']:.1f}", *numbers, Text(latest))
    return table
