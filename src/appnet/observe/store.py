"""The latest records of every stream, in memory, and what they sum up to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, count, islice
from typing import NamedTuple

from appnet.observe.records import Record, Records

_RECORD_BYTES, _TOGETHER_BYTES = 100, 600  # what a record takes beside its value, and what those that came together do


class StreamKey(NamedTuple):
    """A stream of records: the Vec ``variable`` of ``element``, from all proxies that run it."""

    element: str
    variable: str


@dataclass(frozen=True)
class FloatSummary:
    """Order statistics of float records, in their own unit; ``count`` is how many they are taken over."""

    count: int
    p50: float
    p99: float


@dataclass(frozen=True)
class StreamSummary:
    """``count`` records have arrived, the last of them ``latest``; ``floats`` where the kept values are floats."""

    key: StreamKey
    count: int
    latest: Record
    floats: FloatSummary | None


@dataclass
class _Stream:
    """``held`` records came as ``kept``, of which the oldest may be more than are wanted; ``count`` came in all.

    ``size``: of their values, about as many bytes. ``bytes``: with all that is around them.
    """

    kept: deque[Records] = field(default_factory=deque)
    held: int = 0
    count: int = 0
    size: int = 0
    bytes: int = 0

    def add(self, records: Records) -> None:
        self.kept.append(records)
        self.count += len(records)
        self._account(records, 1)

    def drop_oldest(self) -> None:
        self._account(self.kept.popleft(), -1)

    def _account(self, records: Records, by: int) -> None:
        self.held += by * len(records)
        self.size += by * records.size
        self.bytes += by * (records.size + _TOGETHER_BYTES + len(records) * _RECORD_BYTES)

    def latest(self) -> Iterator[Record]:
        """The last that came first."""
        return chain.from_iterable(map(reversed, reversed(self.kept)))


class RecordStore:
    """Keeps the last ``capacity`` records of each of at most ``max_streams`` streams, and counts all.

    Of a stream of long texts it keeps fewer: about ``stream_bytes`` in all, but always the last ones that came
    together. A new stream beyond ``max_streams`` takes the place of the one that has been silent longest, and so do
    records beyond about ``max_bytes`` of all.
    """

    def __init__(
        self,
        capacity: int = 10_000,
        max_streams: int = 1_000,
        stream_bytes: int = 16 << 20,
        max_bytes: int = 256 << 20,
    ) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._capacity = capacity
        self._max_streams = max_streams
        self._stream_bytes = stream_bytes
        self._streams: dict[StreamKey, _Stream] = {}

    def add(self, records: Records) -> None:
        """Takes some records; usable as a subscriber of ``OtlpReceiver``."""
        key = StreamKey(records.element, records.variable)
        stream = self._streams.pop(key, None) or _Stream()
        self._bytes -= stream.bytes
        stream.add(records)
        while len(stream.kept) > 1 and (
            stream.held - len(stream.kept[0]) >= self._capacity or stream.size > self._stream_bytes
        ):
            stream.drop_oldest()
        self._bytes += stream.bytes
        self._streams[key] = stream  # last in order: heard of last
        while len(self._streams) > self._max_streams or (self._bytes > self._max_bytes and len(self._streams) > 1):
            self._bytes -= self._streams.pop(next(iter(self._streams))).bytes

    def restore(self, key: StreamKey, count: int, latest: Iterable[Record]) -> None:
        """Takes up a stream that had brought ``count`` records, the last of them ``latest``."""
        if key not in self._streams:
            for it in latest:
                self.add(Records.of(it))
                count -= 1
        if key in self._streams:
            self._streams[key].count += count

    def counts(self) -> dict[StreamKey, int]:
        """How many records each stream has brought, dropped ones included."""
        return {key: stream.count for key, stream in sorted(self._streams.items())}

    def records(self, element: str, variable: str, most: int | None = None) -> list[Record]:
        """The kept records of one stream, or the last ``most``, oldest first; none for a stream not heard of."""
        stream = self._streams.get(StreamKey(element, variable), _Stream())
        wanted = self._capacity if most is None else min(most, self._capacity)
        return list(islice(stream.latest(), wanted))[::-1]

    def latest(self, most: int, element: str = "") -> list[tuple[int, Record]]:
        """The last ones of all streams, or of one element, the latest first; each with its number in its stream."""
        streams = [it for key, it in self._streams.items() if not element or key.element == element]
        numbered = (
            zip(count(it.count, -1), islice(it.latest(), min(most, self._capacity)), strict=False) for it in streams
        )
        return list(islice(merge(*numbered, key=lambda it: -it[1].time_ns), most))

    def summaries(self) -> list[StreamSummary]:
        """One line for each stream, in the order of their names."""
        return [
            StreamSummary(key, stream.count, next(stream.latest()), summarize(stream.kept))
            for key, stream in sorted(self._streams.items())
        ]


def summarize(kept: Iterable[Records]) -> FloatSummary | None:
    """Median and 99th percentile (nearest rank) of the float values, NaN left out; None without any."""
    values = sorted(chain.from_iterable(it.floats for it in kept))  # quick: each brings its own in order
    if not values:
        return None
    return FloatSummary(len(values), _nearest_rank(values, 0.50), _nearest_rank(values, 0.99))


def _nearest_rank(values: list[float], quantile: float) -> float:
    return values[max(0, math.ceil(quantile * len(values)) - 1)]
