"""What a file of telemetry has: records by element and time, and what it gives back to a process that starts."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from appnet.observe.chunks import DamagedChunkError, decode_chunk
from appnet.observe.database import DamagedError
from appnet.observe.keeping import namespace_of
from appnet.observe.records import Record, Records
from appnet.observe.store import StreamKey

_CHUNKS = 8  # read at once, of up to 1,024 records each
_MOST_STREAMS = 1_000  # are given back, as many as are shown
_LATEST = 100

_Some = tuple[int, Callable[[], Iterable[Record]]]
"""Records, and the time of the latest of them."""


@dataclass(frozen=True)
class Wanted:
    """Records of these ``elements`` in proxies of this ``namespace``, not older than ``since_ns``; empty: of all."""

    elements: frozenset[str] = frozenset()
    namespace: str = ""
    since_ns: int = 0

    def may_have(self, records: Records) -> bool:
        """Whether these are of them, as far as they are not too old."""
        return (not self.elements or records.element in self.elements) and (
            not self.namespace or namespace_of(records.resource) == self.namespace
        )

    def has(self, record: Record) -> bool:
        """Whether this is one of them."""
        return (
            record.time_ns >= self.since_ns
            and (not self.elements or record.element in self.elements)
            and (not self.namespace or namespace_of(record.resource) == self.namespace)
        )


def matching(records: Iterable[Record], wanted: Wanted) -> list[Record]:
    """Those that are wanted."""
    return [it for it in records if wanted.has(it)]


def waiting_since(waiting: Iterable[Records], wanted: Wanted) -> list[Record]:
    """Those that are wanted of what waits to be written, in the order of their times."""
    return sorted((it for some in waiting if wanted.may_have(some) for it in matching(some, wanted)), key=_time)


def last_kept(
    connection: sqlite3.Connection, number: int, wanted: Wanted, until: int, waiting: Iterable[Records]
) -> list[Record]:
    """The last ``number`` of those in chunks up to ``until`` and of ``waiting``, in the order of their times."""
    if not number:
        return []
    fresh: list[_Some] = [(it.latest_ns, it.__iter__) for it in waiting if wanted.may_have(it)]
    fresh.sort(key=_latest, reverse=True)
    streams = (_newest_first(connection, it, wanted.since_ns, until) for it in _streams(connection, wanted))
    newest: list[Record] = []
    for latest, some in heapq.merge(fresh, *streams, key=_latest, reverse=True):
        if len(newest) >= number and latest <= newest[0].time_ns:
            break
        newest = sorted([*newest, *matching(some(), wanted)], key=_time)[-number:]
    return newest


def since_kept(connection: sqlite3.Connection, wanted: Wanted, after: int, until: int) -> tuple[int, list[Record]]:
    """Some of the wanted ones in chunks behind ``after`` and up to ``until``, and behind which chunk to go on."""
    streams = dict(_streams(connection, wanted))
    rows = connection.execute(
        "SELECT id, stream, last FROM chunks WHERE id > ? AND id <= ? ORDER BY id",
        (max(after, wanted.since_ns - 1), until),
    )
    found: list[Record] = []
    read = 0
    for chunk, stream, last in rows:
        if stream in streams and last >= wanted.since_ns:
            found += matching(_chunk(connection, chunk, streams[stream]), wanted)
            read += 1
            if read == _CHUNKS:
                return chunk, sorted(found, key=_time)
    return until, sorted(found, key=_time)


def streams_kept(connection: sqlite3.Connection) -> list[tuple[StreamKey, int, list[Record]]]:
    """Of each stream, how many records it has brought and the latest of them; the stream that spoke last is last."""
    rows = connection.execute(
        "SELECT element, variable, sum(count), max(latest) FROM streams GROUP BY element, variable"
        " ORDER BY max(latest) DESC LIMIT ?",
        (_MOST_STREAMS,),
    )
    found = []
    for element, variable, count, latest in rows:
        key = StreamKey(element, variable)
        found.append((key, count, _chunk(connection, latest, key)[-_LATEST:]))
    return found[::-1]


def counts_since(connection: sqlite3.Connection, time_ns: int) -> dict[StreamKey, int]:
    """How many records of each stream there are from then on, as far as chunks tell."""
    rows = connection.execute(
        "SELECT element, variable, sum(chunks.count) FROM streams JOIN chunks ON stream = streams.id AND last >= ?"
        " GROUP BY element, variable",
        (time_ns,),
    )
    return {StreamKey(element, variable): count for element, variable, count in rows}


def _streams(connection: sqlite3.Connection, wanted: Wanted) -> Iterator[tuple[int, StreamKey]]:
    for number, element, variable, namespace in connection.execute(
        "SELECT id, element, variable, namespace FROM streams"
    ):
        if (not wanted.elements or element in wanted.elements) and wanted.namespace in ("", namespace):
            yield number, StreamKey(element, variable)


def _newest_first(
    connection: sqlite3.Connection, stream: tuple[int, StreamKey], since: int, until: int
) -> Iterator[_Some]:
    number, key = stream
    for last, chunk in connection.execute(
        "SELECT last, id FROM chunks WHERE stream = ? AND last >= ? AND id <= ? ORDER BY last DESC",
        (number, since, until),
    ):
        yield last, partial(_chunk, connection, chunk, key)


def _chunk(connection: sqlite3.Connection, number: int, key: StreamKey) -> list[Record]:
    row = connection.execute("SELECT body FROM chunks WHERE id = ?", (number,)).fetchone()
    try:
        return decode_chunk(row[0], *key) if row is not None else []  # which is too old to be kept
    except DamagedChunkError as error:
        raise DamagedError(str(error)) from error


def _time(record: Record) -> int:
    return record.time_ns


def _latest(some: _Some) -> int:
    return some[0]
