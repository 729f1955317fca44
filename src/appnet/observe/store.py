"""The latest records of every stream, in memory, and what they sum up to."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from heapq import merge
from itertools import count, islice
from typing import NamedTuple

from appnet.observe.records import Record, RecordValue

_SMALL_BYTES = 8
_RECORD_BYTES = 200  # what it takes beside its value


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
    kept: deque[Record]
    count: int = 0
    size: int = 0  # of the kept values, about as many bytes


class RecordStore:
    """Keeps the last ``capacity`` records of each of at most ``max_streams`` streams, and counts all.

    Of a stream of long texts it keeps fewer: about ``stream_bytes`` in all, but always the last one. A new stream
    beyond ``max_streams`` takes the place of the one that has been silent longest, and so does a record beyond about
    ``max_bytes`` of all.
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

    def add(self, record: Record) -> None:
        """Takes one record; usable as a subscriber of ``OtlpReceiver``."""
        key = StreamKey(record.element, record.variable)
        stream = self._streams.pop(key, None) or _Stream(deque())
        stream.kept.append(record)
        stream.count += 1
        size = size_of(record)
        stream.size += size
        self._bytes += size + _RECORD_BYTES
        while len(stream.kept) > self._capacity or (stream.size > self._stream_bytes and len(stream.kept) > 1):
            self._drop_oldest(stream)
        self._streams[key] = stream  # last in order: heard of last
        while len(self._streams) > self._max_streams or (self._bytes > self._max_bytes and len(self._streams) > 1):
            self._forget_silent()

    def _drop_oldest(self, stream: _Stream) -> None:
        size = size_of(stream.kept.popleft())
        stream.size -= size
        self._bytes -= size + _RECORD_BYTES

    def _forget_silent(self) -> None:
        silent = self._streams.pop(next(iter(self._streams)))
        self._bytes -= silent.size + len(silent.kept) * _RECORD_BYTES

    def restore(self, key: StreamKey, count: int, latest: list[Record]) -> None:
        """Takes up a stream that had brought ``count`` records, the last of them ``latest``."""
        if key not in self._streams:
            for it in latest:
                self.add(it)
            count -= len(latest)
        if key in self._streams:
            self._streams[key].count += count

    def counts(self) -> dict[StreamKey, int]:
        """How many records each stream has brought, dropped ones included."""
        return {key: stream.count for key, stream in sorted(self._streams.items())}

    def records(self, element: str, variable: str) -> list[Record]:
        """The kept records of one stream, oldest first; none for a stream not heard of."""
        stream = self._streams.get(StreamKey(element, variable))
        return list(stream.kept) if stream is not None else []

    def latest(self, most: int, element: str = "") -> list[tuple[int, Record]]:
        """The last ones of all streams, or of one element, the latest first; each with its number in its stream."""
        streams = [it for key, it in self._streams.items() if not element or key.element == element]
        numbered = (zip(count(it.count, -1), reversed(it.kept), strict=False) for it in streams)
        return list(islice(merge(*numbered, key=lambda it: -it[1].time_ns), most))

    def summaries(self) -> list[StreamSummary]:
        """One line for each stream, in the order of their names."""
        return [
            StreamSummary(key, stream.count, stream.kept[-1], summarize(stream.kept))
            for key, stream in sorted(self._streams.items())
        ]


def size_of(record: Record) -> int:
    """About how many bytes its value takes."""
    return _size(record.value)


def _size(value: RecordValue) -> int:
    if isinstance(value, tuple):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str | bytes) else _SMALL_BYTES


def summarize(records: deque[Record] | list[Record]) -> FloatSummary | None:
    """Median and 99th percentile (nearest rank) of the float values in ``records``, NaN left out; None without any."""
    values = sorted(it.value for it in records if isinstance(it.value, float) and not math.isnan(it.value))
    if not values:
        return None
    return FloatSummary(len(values), _nearest_rank(values, 0.50), _nearest_rank(values, 0.99))


def _nearest_rank(values: list[float], quantile: float) -> float:
    return values[max(0, math.ceil(quantile * len(values)) - 1)]
