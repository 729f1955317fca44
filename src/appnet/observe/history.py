"""Counts over time, as they are kept: what each instance told last, and the sums of all at each sample."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appnet.observe.points import ATTRIBUTES, NOW, Histogram, Point, Value
from appnet.observe.totals import InstanceKey, Key, Totals

_ENDED = InstanceKey("", 0)
_MOST = 2**63 - 1  # that SQLite has

SeriesKey = tuple[str, tuple[str, ...]]
"""A metric, and the values of its `ATTRIBUTES`."""


@dataclass(frozen=True)
class Sample:
    """What there was at ``time_ns``: ``sums`` of all instances, and what changed of these."""

    time_ns: int
    sums: Mapping[SeriesKey, Value]
    changes: Mapping[InstanceKey, list[Point]]
    known: set[InstanceKey]
    ended: Mapping[tuple[str, Key], Value]


@dataclass(frozen=True)
class Past:
    """The sums at a time in the past, in seconds since the Unix epoch; asked as `Totals` are."""

    time: float
    sums: Mapping[SeriesKey, Value]
    refused: int = 0

    def by(
        self, names: Iterable[str], attributes: Iterable[str], *, living: bool = False
    ) -> dict[tuple[str, ...], Value]:
        """As `Totals.by`, for the attributes of these metrics; how many calls were under way is not kept."""
        wanted = frozenset(names)
        assert all(ATTRIBUTES[it] == tuple(attributes) for it in wanted)
        return {key: value for (name, key), value in self.sums.items() if name in wanted and not living}


def sample(totals: Totals, time_ns: int, *, everything: bool) -> Sample:
    """What there is now. ``everything``: all instances count as changed."""
    sums = {
        (name, key): value
        for name, attributes in ATTRIBUTES.items()
        if name not in NOW
        for key, value in totals.by([name], attributes).items()
    }
    return Sample(time_ns, sums, totals.changes(everything=everything), totals.known(), totals.ended())


class HistoryWriter:
    """Writes samples by the connection of whoever writes, inside of a transaction of its."""

    def __init__(self) -> None:
        self._series: dict[SeriesKey, int] = {}
        self._last: dict[SeriesKey, Value] = {}
        self._ended: Mapping[tuple[str, Key], Value] | None = None

    def load(self, connection: sqlite3.Connection) -> None:
        """Begins with what the file has."""
        self._series, self._last, self._ended = {}, {}, None
        for number, name, key, value in connection.execute(
            "SELECT id, name, key, (SELECT value FROM points WHERE series = id ORDER BY time DESC LIMIT 1) FROM series"
        ):
            series = (name, tuple(json.loads(key)))
            self._series[series] = number
            if value is not None:
                self._last[series] = _from_kept(value)

    def write(self, connection: sqlite3.Connection, taken: Sample) -> None:
        """Writes what changed. After a rollback, `load` has to follow."""
        connection.execute("INSERT OR REPLACE INTO samples VALUES (?)", (taken.time_ns,))
        for series, value in taken.sums.items():
            if self._last.get(series) != value:
                row = (self._number(connection, series), taken.time_ns, _to_keep(value))
                connection.execute("INSERT OR REPLACE INTO points VALUES (?, ?, ?)", row)
                self._last[series] = value
        kept = {InstanceKey(*it) for it in connection.execute("SELECT id, start FROM instances")}
        connection.executemany("DELETE FROM instances WHERE id = ? AND start = ?", kept - taken.known - {_ENDED})
        rows = [(*key, _instance(points)) for key, points in taken.changes.items() if key in taken.known]
        if taken.ended != self._ended:
            rows.append((*_ENDED, _compressed([[name, key, _plain(it)] for (name, key), it in taken.ended.items()])))
            self._ended = taken.ended
        connection.executemany("INSERT OR REPLACE INTO instances VALUES (?, ?, ?)", rows)

    def _number(self, connection: sqlite3.Connection, series: SeriesKey) -> int:
        found = self._series.get(series)
        if found is None:
            row = (series[0], json.dumps(series[1]))
            found = connection.execute("INSERT INTO series (name, key) VALUES (?, ?)", row).lastrowid
            assert found is not None
            self._series[series] = found
        return found

    def forget_before(self, connection: sqlite3.Connection, time_ns: int) -> None:
        """Removes older points, but the last one of each series, from which the next ones count on."""
        connection.execute("DELETE FROM samples WHERE time < ?", (time_ns,))
        for number in self._series.values():
            connection.execute(
                "DELETE FROM points WHERE series = ?1 AND time <"
                " (SELECT max(time) FROM points WHERE series = ?1 AND time <= ?2)",
                (number, time_ns),
            )


@dataclass(frozen=True)
class Told:
    """What `Totals` knew when the last sample was taken."""

    instances: Mapping[InstanceKey, list[Point]]
    ended: Mapping[tuple[str, Key], Value]


def told_last(connection: sqlite3.Connection) -> Told:
    """What there is to give back to `Totals`."""
    instances: dict[InstanceKey, list[Point]] = {}
    ended: dict[tuple[str, Key], Value] = {}
    for name, start, body in connection.execute("SELECT id, start, body FROM instances"):
        key, found = InstanceKey(name, start), json.loads(zlib.decompress(body))
        if key == _ENDED:
            ended = {(metric, tuple(map(tuple, it))): _from_plain(value) for metric, it, value in found}
        else:
            instances[key] = list(_points(found, start))
    return Told(instances, ended)


def sums_at(connection: sqlite3.Connection, times_ns: list[int], element: str = "") -> list[Past]:
    """The sums at these times; of ``element`` alone, where there is one."""
    series = [
        (number, name, tuple(json.loads(key))) for number, name, key in connection.execute("SELECT * FROM series")
    ]
    if element:
        series = [it for it in series if ("appnet.element", element) in zip(ATTRIBUTES[it[1]], it[2], strict=True)]
    found = []
    for time_ns in times_ns:
        sums: dict[SeriesKey, Value] = {}
        for number, name, key in series:
            value = connection.execute(
                "SELECT value FROM points WHERE series = ? AND time <= ? ORDER BY time DESC LIMIT 1", (number, time_ns)
            ).fetchone()
            if value is not None:
                sums[name, key] = _from_kept(value[0])
        found.append(Past(time_ns / 1e9, sums))
    return found


def sample_before(connection: sqlite3.Connection, time_ns: int) -> int | None:
    """When the last sample was taken that is not younger, or else the first one; None where there is none."""
    found: int | None
    (found,) = connection.execute("SELECT max(time) FROM samples WHERE time <= ?", (time_ns,)).fetchone()
    if found is None:
        (found,) = connection.execute("SELECT min(time) FROM samples").fetchone()
    return found


def _instance(points: list[Point]) -> bytes:
    resource = dict(points[0].resource) if points else {}
    return _compressed(
        {
            "resource": resource,
            "points": [[it.name, dict(it.attributes), _plain(it.value), it.time_ns] for it in points],
        }
    )


def _points(found: dict[str, Any], start_ns: int) -> Iterator[Point]:
    for name, attributes, value, time_ns in found["points"]:
        yield Point(name, attributes, found["resource"], _from_plain(value), start_ns, time_ns)


def _compressed(document: Any) -> bytes:
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)


def _plain(value: Value) -> Any:
    return value if isinstance(value, int) else [value.scale, value.first, value.counts, value.sum]


def _from_plain(value: Any) -> Value:
    if isinstance(value, int):
        return value
    scale, first, counts, total = value
    return Histogram(scale, first, tuple(counts), total)


def _to_keep(value: Value) -> int | str:
    return min(value, _MOST) if isinstance(value, int) else json.dumps(_plain(value), separators=(",", ":"))


def _from_kept(value: int | str) -> Value:
    return value if isinstance(value, int) else _from_plain(json.loads(value))
