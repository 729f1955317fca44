"""Telemetry over time, in a file with bounds: records, spans, and counts at each sample. It outlives the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from appnet.observe.database import DamagedError, Database, StoreError
from appnet.observe.history import Past, Told, sample, sample_before, sums_at, told_last
from appnet.observe.keeping import Writer
from appnet.observe.reading import Wanted, counts_since, last_kept, since_kept, streams_kept, waiting_since
from appnet.observe.records import Record, Records
from appnet.observe.spans import Span
from appnet.observe.spans_kept import by_trace, last_traces, spans_of
from appnet.observe.store import RecordStore, StreamKey
from appnet.observe.totals import Totals

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
"""After which records are written: so many of them are lost where the process is killed."""
SAMPLE_SECONDS = 10.0
"""After which counts are."""
_REOPEN_SECONDS = 10.0
_MOST_WAITING = 200_000
_MOST_WAITING_BYTES = 64 << 20
_MOST_WAITING_SPANS = 50_000
_T = TypeVar("_T")


@dataclass(frozen=True)
class Keep:
    """Where telemetry is kept, for how many ``seconds``, and on how many ``bytes`` of the disk at most."""

    folder: Path
    seconds: float = 86_400.0
    bytes: int = 1 << 30


class Kept:
    """Keeps what comes to ``records`` and ``totals``, and has what they had before. Use it as an async context manager.

    Entering gives back to both what the file has. It raises `StoreError` where the file must not be touched. A disk
    that is full or cannot be written costs what is not written, which is counted as ``dropped`` records and
    ``dropped_spans``. ``clock``: of nanoseconds since the Unix epoch.
    """

    def __init__(
        self, keep: Keep, records: RecordStore, totals: Totals, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._clock = clock
        self._keep, self._records, self._totals = keep, records, totals
        self._database = Database(keep.folder)
        self._writer = Writer(self._database, keep.seconds, keep.bytes, clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._waiting: list[Records] = []
        self._writing: list[Records] = []
        self._waiting_number = self._waiting_bytes = 0
        self._waiting_spans: list[Span] = []
        self._writing_spans: list[Span] = []
        self._written = 0  # the last id
        self._sampled = self._tried = -float("inf")
        self._ending = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None
        self._whole_in = -1  # the file that has what all instances told
        self._why = ""
        self.dropped = self.dropped_spans = 0

    async def __aenter__(self) -> Kept:
        try:
            await self._open()
        except StoreError:
            self._database.close()
            self._thread.shutdown()
            raise
        except (sqlite3.Error, OSError) as error:
            self._tell(str(error))
        self._work = asyncio.create_task(self._keep_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        try:
            if self._work is not None:
                await self._work
        finally:
            await self._in_thread(self._database.close)
            self._thread.shutdown()

    def lost(self) -> list[str]:
        """What people are told of what is not kept."""
        dropped = [(self.dropped, "records"), (self.dropped_spans, "spans")]
        return [*filter(None, [self.trouble]), *(f"{many} {what} were not kept" for many, what in dropped if many)]

    # --- what comes ---

    def add(self, records: Records) -> None:
        """Takes some records, or none of them; usable as a subscriber of ``OtlpReceiver``."""
        number, size = self._waiting_number + len(records), self._waiting_bytes + records.size
        if number > _MOST_WAITING or size > _MOST_WAITING_BYTES:
            self.dropped += len(records)
            return
        self._waiting.append(records)
        self._waiting_number, self._waiting_bytes = number, size

    def add_span(self, span: Span) -> None:
        """Takes one span, usable as a subscriber of ``OtlpReceiver``."""
        if len(self._waiting_spans) < _MOST_WAITING_SPANS:
            self._waiting_spans.append(span)
        else:
            self.dropped_spans += 1

    async def flush(self) -> None:
        """Writes what has come, counts included."""
        async with self._flushing:
            self._begin_writing()
            self._sampled, file = time.monotonic(), self._writer.files
            taken = sample(self._totals, self._clock(), everything=file != self._whole_in)
            good = await self._write(lambda: self._writer.write(self._writing, self._writing_spans, taken))
            self._whole_in = file if good else -1

    def _begin_writing(self) -> None:
        self._writing, self._waiting = self._waiting, []
        self._waiting_number = self._waiting_bytes = 0
        self._writing_spans, self._waiting_spans = self._waiting_spans, []

    async def _flush_arrivals(self) -> None:
        async with self._flushing:
            self._begin_writing()
            if self._writing or self._writing_spans:
                await self._write(lambda: self._writer.write(self._writing, self._writing_spans, None))

    async def _write(self, work: Callable[[], int]) -> bool:
        """Does it in the thread, and says whether it could. What fails costs these records and spans."""
        try:
            if self._database.connection is None:
                await self._open()
            self._written = await self._in_thread(work)
        except (sqlite3.Error, OSError) as error:
            self.dropped += sum(map(len, self._writing))
            self.dropped_spans += len(self._writing_spans)
            self._tell(str(error))
            return False
        else:
            self._tell("")
            return True
        finally:
            self._writing, self._writing_spans = [], []

    async def _open(self) -> None:
        """Opens the file, and gives back what it has."""
        if time.monotonic() < self._tried + _REOPEN_SECONDS:
            raise OSError(self._why)
        self._tried = time.monotonic()
        await self._in_thread(self._writer.open)
        self._written = self._writer.last
        told = await self._read(told_last, Told({}, {}))
        self._totals.restore(told.instances, told.ended)
        none: list[tuple[StreamKey, int, list[Record]]] = []
        for it in await self._read(streams_kept, none):
            self._records.restore(*it)

    def _tell(self, why: str) -> None:
        """Logs what changed. ``why``: nothing can be written; empty: all is well."""
        if told := self._writer.told():
            _log.warning("%s", told)
        if why != self._why:
            self._why = why
            _log.warning("%s", self.trouble or f"telemetry is kept in {self._keep.folder} again")

    @property
    def trouble(self) -> str:
        """Why nothing is kept now, and what to do; empty where all is well."""
        if not self._why:
            return ""
        return f"records are not kept in {self._keep.folder}: {self._why}; make room there, or name another --store"

    async def _keep_on(self) -> None:
        ended = False
        while not ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), FLUSH_SECONDS)
            ended = self._ending.is_set()
            try:
                due = ended or time.monotonic() >= self._sampled + SAMPLE_SECONDS
                await (self.flush() if due else self._flush_arrivals())
            except Exception:
                _log.exception("telemetry was not kept, by an error of AppNet's own")

    # --- what was ---

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._database.size()

    async def last(self, number: int, wanted: Wanted) -> list[Record]:
        """The last ones that are wanted, in the order of their times."""
        waiting, written = self._not_written(), self._written
        return await self._read(lambda it: last_kept(it, number, wanted, written, waiting), [])

    def since(self, wanted: Wanted) -> Callable[[], Awaitable[list[Record]]]:
        """All that are wanted and have come before now, as they came: call what is returned again and again, until it
        has none."""
        waiting, written, place = self._not_written(), self._written, 0
        end: tuple[int, list[Record]] = (written, [])

        async def more() -> list[Record]:
            nonlocal place, waiting
            found: list[Record] = []
            while not found and place < written:
                place, found = await self._read(partial(since_kept, wanted=wanted, after=place, until=written), end)
            if not found:
                found, waiting = await asyncio.to_thread(waiting_since, waiting, wanted), []
            return found

        return more

    async def trace(self, trace: str) -> list[Span]:
        """The spans of the trace of this id."""
        waiting, written = [*self._writing_spans, *self._waiting_spans], self._written
        none: list[Span] = []
        found = await self._read(lambda it: spans_of(it, trace, written), none)
        return [*found, *by_trace(waiting).get(trace, [])]

    async def last_traces(self, number: int, since_ns: int = 0) -> list[str]:
        """The ids of the last traces, not older than ``since_ns``; the latest last."""
        written = self._written
        new = [*by_trace([*self._writing_spans, *self._waiting_spans])]
        none: list[str] = []
        old = await self._read(lambda it: last_traces(it, number, since_ns, written), none)
        return [*dict.fromkeys([*new[::-1], *old])][:number][::-1]

    async def sums_before(self, seconds: float) -> Past | None:
        """What all had counted so long ago, or when it was sampled first; None where nothing is kept."""

        def read(connection: sqlite3.Connection) -> Past | None:
            found = sample_before(connection, self._clock() - int(seconds * 1e9))
            return None if found is None else sums_at(connection, [found])[0]

        return await self._read(read, None)

    async def sums_over(self, seconds: float, step: float, element: str = "") -> list[Past]:
        """What all had counted at the end of each ``step`` of the last ``seconds``; of one element alone, if named."""
        now = self._clock()
        times = [now - int(it * step * 1e9) for it in range(int(seconds / step), -1, -1)]
        return await self._read(lambda it: sums_at(it, times, element), [])

    async def counts_since(self, seconds: float) -> dict[StreamKey, int]:
        """How many records of each stream have come in the last ``seconds``, as far as they are written."""
        return await self._read(lambda it: counts_since(it, self._clock() - int(seconds * 1e9)), {})

    def _not_written(self) -> list[Records]:
        return [*self._writing, *self._waiting]

    async def _read(self, work: Callable[[sqlite3.Connection], _T], without: _T) -> _T:
        if self._database.connection is None:
            return without
        file = self._writer.files

        def read() -> _T:
            with self._database.reading() as connection:
                return work(connection)

        try:
            try:
                return await asyncio.to_thread(read)
            except DamagedError as error:
                await self._in_thread(partial(self._writer.damaged, error, file))
                self._tell(self._why)
        except (sqlite3.Error, OSError) as error:
            _log.warning("what is kept in %s cannot be read: %s", self._keep.folder, error)
        return without

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
