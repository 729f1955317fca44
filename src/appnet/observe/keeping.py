"""Writes records, spans and samples to the file, and removes what is too old or too much; in one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping

from appnet.observe.chunks import encode_chunks
from appnet.observe.database import DamagedError, Database, damage
from appnet.observe.history import HistoryWriter, Sample
from appnet.observe.records import Records, RecordValue
from appnet.observe.spans import Span
from appnet.observe.spans_kept import by_trace, encode_spans

_Stream = tuple[str, str, str]

MOST_STREAMS = 10_000
_ROOM = 0.9  # of the bytes that may be used: the rest is for the journal, and what is being written
_STEP = 0.05  # of all chunks, the oldest ones, that make room at once
_STEP_NS = 600 * 10**9  # and of points
_PAGES = 2_000


class Writer:
    """Writes to ``database``, of which it leaves what is younger than ``seconds``, and ``most_bytes`` at most.
    ``clock``: of nanoseconds since the Unix epoch."""

    def __init__(self, database: Database, seconds: float, most_bytes: int, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._database, self._seconds, self._most_bytes = database, seconds, most_bytes
        self._history = HistoryWriter()
        self._streams: dict[_Stream, int] = {}
        self._told: list[str] = []
        self._bytes = 0  # of all chunks and spans
        self.last = 0
        """The id of the last chunk, or of the last spans."""
        self.files = 0
        """How many there have been: another one begins without anything."""

    def open(self) -> None:
        """Opens the file. Raises as `Database.open` does."""
        if told := self._database.open():
            self._told.append(told)
        self.files += 1
        try:
            self._load()
        except DamagedError as error:
            self.damaged(error, self.files)

    def told(self) -> str:
        """What happened to the file since this was asked last."""
        found, self._told = "; ".join(self._told), []
        return found

    def damaged(self, error: Exception, file: int) -> None:
        """Sets this file aside, and begins a new one."""
        if file == self.files:
            self._told.append(self._database.set_aside(error))
            self.files += 1
            self._load()

    def write(self, records: list[Records], spans: list[Span], taken: Sample | None) -> int:
        """Writes all or nothing, and tells the last id. Raises `sqlite3.Error` and OSError."""
        try:
            with damage():
                self._written(records, spans, taken)
        except DamagedError as error:
            self.damaged(error, self.files)
            self._written(records, spans, taken)
        return self.last

    def _written(self, records: list[Records], spans: list[Span], taken: Sample | None) -> None:
        connection = self._connection()
        before = self.last
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._add(connection, records)
            self._add_spans(connection, spans)
            if taken is not None:
                self._history.write(connection, taken)
                until = taken.time_ns - int(self._seconds * 1e9)
                self._forget_until(connection, until)
                self._history.forget_before(connection, until)
            connection.execute("COMMIT")
        except BaseException:
            self.last = before
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._load()
            raise
        self._make_room(connection)

    def _connection(self) -> sqlite3.Connection:
        assert self._database.connection is not None
        return self._database.connection

    def _load(self) -> None:
        connection = self._connection()
        with damage():
            self._history.load(connection)
            rows = connection.execute("SELECT element, variable, namespace, id FROM streams")
            self._streams = {(element, variable, namespace): number for element, variable, namespace, number in rows}
            last, self._bytes = connection.execute(
                "SELECT ifnull(max(id), 0), ifnull(sum(bytes), 0) FROM came"
            ).fetchone()
            self.last = max(self.last, last)

    def _add(self, connection: sqlite3.Connection, records: Iterable[Records]) -> None:
        streams: dict[_Stream, list[Records]] = {}
        for it in records:
            streams.setdefault((it.element, it.variable, namespace_of(it.resource)), []).append(it)
        for stream, several in streams.items():
            number = self._number(connection, stream)
            for chunk in encode_chunks(several):
                self.last = max(self.last + 1, self._clock())
                size = len(chunk.body)
                row = (self.last, number, min(chunk.latest_ns, 2**63 - 1), chunk.count, size, chunk.body)
                connection.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", row)
                self._bytes += size
            changed = (sum(map(len, several)), self.last, number)
            connection.execute("UPDATE streams SET count = count + ?, latest = ? WHERE id = ?", changed)

    def _add_spans(self, connection: sqlite3.Connection, spans: Iterable[Span]) -> None:
        for trace, several in by_trace(spans).items():
            self.last = max(self.last + 1, self._clock())
            body = encode_spans(several)
            connection.execute("INSERT INTO spans VALUES (?, ?, ?, ?)", (self.last, trace, len(body), body))
            self._bytes += len(body)

    def _number(self, connection: sqlite3.Connection, stream: _Stream) -> int:
        found = self._streams.get(stream)
        if found is None:
            if len(self._streams) >= MOST_STREAMS:
                self._forget_silent(connection)
            row = connection.execute(
                "INSERT INTO streams (element, variable, namespace, count, latest) VALUES (?, ?, ?, 0, 0)", stream
            )
            assert row.lastrowid is not None
            found = self._streams[stream] = row.lastrowid
        return found

    def _forget_silent(self, connection: sqlite3.Connection) -> None:
        """Makes room for another stream: the one that was silent longest goes, with its records."""
        element, variable, namespace, number = connection.execute(
            "SELECT element, variable, namespace, id FROM streams ORDER BY latest LIMIT 1"
        ).fetchone()
        (size,) = connection.execute("SELECT ifnull(sum(bytes), 0) FROM chunks WHERE stream = ?", (number,)).fetchone()
        self._bytes -= size
        connection.execute("DELETE FROM chunks WHERE stream = ?", (number,))
        connection.execute("DELETE FROM streams WHERE id = ?", (number,))
        del self._streams[element, variable, namespace]

    # --- retention ---

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Removes the oldest, until what is left takes no more than may be; and gives room back that nobody needs."""
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        most = int(self._most_bytes * _ROOM)
        while True:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if (pages - free) * page_bytes <= most or not self._forget_oldest(connection, most // 2):
                break
        if pages * page_bytes > most or free > pages // 2:
            connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()

    def _forget_oldest(self, connection: sqlite3.Connection, records_bytes: int) -> bool:
        """Removes the oldest records and spans, unless they take less than ``records_bytes``: then the oldest points.
        False where neither are left."""
        (rows,) = connection.execute("SELECT count(*) FROM came").fetchone()
        (first,) = connection.execute("SELECT min(time) FROM samples").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        if rows and (self._bytes >= records_bytes or first is None):
            oldest = "SELECT id FROM came ORDER BY id LIMIT 1 OFFSET ?"
            (last,) = connection.execute(oldest, (int(rows * _STEP),)).fetchone()
            self._forget_until(connection, last + 1)
        elif first is not None:
            self._history.forget_before(connection, first + _STEP_NS)
        connection.execute("COMMIT")
        return bool(rows) or first is not None

    def _forget_until(self, connection: sqlite3.Connection, time_ns: int) -> None:
        (size,) = connection.execute("SELECT ifnull(sum(bytes), 0) FROM came WHERE id < ?", (time_ns,)).fetchone()
        connection.execute("DELETE FROM chunks WHERE id < ?", (time_ns,))
        connection.execute("DELETE FROM spans WHERE id < ?", (time_ns,))
        self._bytes -= size


def namespace_of(resource: Mapping[str, RecordValue]) -> str:
    """That of the proxy that this is; empty outside of clusters."""
    _, dot, namespace = str(resource.get("appnet.processor", "")).rpartition(".")
    return namespace if dot else ""
