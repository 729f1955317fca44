"""The file in which telemetry is kept: opened, checked, and set aside where it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

FILE = "telemetry.db"
_DAMAGED = f"{FILE}.damaged"
_LAYOUT = 2
_APPLICATION = 0x41704E74  # "ApNt": tells the file from other programs' of SQLite
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_JOURNALS = ("-wal", "-shm")
_JOURNAL_BYTES = 4 << 20
_REMEDY = "name another folder with --store"

_TABLES = """
CREATE TABLE streams (
    id INTEGER PRIMARY KEY, element TEXT NOT NULL, variable TEXT NOT NULL, namespace TEXT NOT NULL,
    count INTEGER NOT NULL, latest INTEGER NOT NULL, UNIQUE (element, variable, namespace)
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX chunks_of_stream ON chunks (stream, last, count, bytes);
CREATE TABLE instances (id TEXT NOT NULL, start INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (id, start));
CREATE TABLE samples (time INTEGER PRIMARY KEY);
CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, UNIQUE (name, key));
CREATE TABLE points (
    series INTEGER NOT NULL, time INTEGER NOT NULL, value NOT NULL, PRIMARY KEY (series, time)
) WITHOUT ROWID;
"""
_SPANS = """
CREATE TABLE spans (id INTEGER PRIMARY KEY, trace TEXT NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX spans_of_trace ON spans (trace, id);
CREATE VIEW came AS SELECT id, bytes FROM chunks UNION ALL SELECT id, bytes FROM spans;
"""
"""A chunk's id is when it came, that of some spans likewise; a point's time when it was taken, in nanoseconds since the
Unix epoch. `last` is the time of a chunk's latest record, `bytes` the length of a body. The instance '' has what ended
ones had counted. Points are cumulative, and only of series that changed since the sample before. Files of layout 1 had
no spans."""


class StoreError(OSError):
    """The folder cannot be used for telemetry. The text says why, and what to do."""


class DamagedError(Exception):
    """The file is damaged; the text says how."""


class Database:
    """The file in ``folder``, for this process alone.

    ``connection`` is for the one thread that writes; who reads opens one of its own with `reading`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None
        self.connection: sqlite3.Connection | None = None

    @property
    def file(self) -> Path:
        """Where it is."""
        return self._folder / FILE

    def open(self) -> str:
        """Opens the file, or makes it. What is damaged is set aside and begun anew; then the text tells of it.

        Raises `StoreError` for a file of a newer AppNet or another program, or that another process uses; other
        OSErrors and `sqlite3.Error` where the disk is full or cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold()
        try:
            self.connection = self._opened()
        except DamagedError as error:
            return self.set_aside(error)
        return ""

    def set_aside(self, why: Exception) -> str:
        """Renames the damaged file, in place of one set aside before, and begins anew; tells so."""
        self._disconnect()
        aside = self.file.with_name(_DAMAGED)
        self.file.replace(aside)
        for it in _JOURNALS:
            Path(f"{self.file}{it}").unlink(missing_ok=True)
        self.connection = self._opened()
        return f"the telemetry in {self.file} is damaged ({why}); it was set aside as {aside}, and a new file begun"

    def close(self) -> None:
        """Closes the file. Safe to call again."""
        self._disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What the file has now, however much is written meanwhile. Raises `DamagedError`, and `sqlite3.Error` where
        there is none."""
        connection = sqlite3.connect(f"{self.file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            with damage():
                connection.execute("BEGIN")
                yield connection
        finally:
            connection.close()

    def size(self) -> int:
        """Bytes on disk."""
        sizes = 0
        for it in ("", *_JOURNALS):
            with contextlib.suppress(OSError):
                sizes += os.stat(f"{self.file}{it}").st_size  # noqa: PTH116 -- no path for each
        return sizes

    def _hold(self) -> None:
        """Keeps other processes out; the kernel lets go of it however this one ends."""
        if self._lock is None:
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                raise StoreError(
                    f"another process keeps its telemetry in {self._folder}: end it, or {_REMEDY}"
                ) from None
            self._lock = lock

    def _disconnect(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self.connection.close()
            self.connection = None

    def _opened(self) -> sqlite3.Connection:
        with contextlib.suppress(FileExistsError):  # for this user alone: records may hold what others must not read
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)
        try:
            with damage():
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION:
            raise StoreError(f"{self.file} is another program's: move it, or {_REMEDY}")
        if layout > _LAYOUT:
            told = f"{self.file} was written by a newer AppNet (its layout is {layout}, this one reads {_LAYOUT})"
            raise StoreError(f"{told}: use that version, remove the file, or {_REMEDY}")
        if not tables:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if not tables:
            begun = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_LAYOUT};"
            connection.executescript(f"BEGIN; {_TABLES} {_SPANS} {begun} COMMIT;")
        elif layout < _LAYOUT:
            connection.executescript(f"BEGIN; {_SPANS} PRAGMA user_version = {_LAYOUT}; COMMIT;")


@contextlib.contextmanager
def damage() -> Iterator[None]:
    """Turns SQLite's errors for files that are damaged into `DamagedError`; others pass."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            raise DamagedError(str(error)) from error
        raise
