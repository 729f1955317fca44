"""What chains count, as it arrives in OTLP metrics: `docs/telemetry.md` has the names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from appnet.observe.otlp import ExportMetricsServiceRequest
from appnet.observe.records import MalformedTelemetryError

CALLS, IN_FLIGHT = "appnet.calls", "appnet.calls.in_flight"
REFUSALS, REPLIES, ROW_HITS = "appnet.refusals", "appnet.replies", "appnet.row.hits"
EVICTIONS, RECORDS_DROPPED, SPANS_DROPPED = "appnet.evictions", "appnet.records.dropped", "appnet.spans.dropped"
ROUND_TRIPS, CONFLICTS, STORE_ERRORS = "appnet.state.round_trips", "appnet.state.conflicts", "appnet.state.errors"
MERGES, STALENESS = "appnet.state.merges", "appnet.state.staleness"
DURATIONS = {"client": "rpc.client.call.duration", "server": "rpc.server.call.duration"}
"""By the side of the edge."""
STAYS, MESSAGE_BYTES = "appnet.chain.duration", "appnet.message.bytes"
STARTS, ENTRIES = "appnet.chain.starts", "appnet.state.entries"
METHOD, STATUS = "rpc.method", "rpc.response.status_code"
ELEMENT, HANDLER, ROW, VARIABLE = "appnet.element", "appnet.handler", "appnet.row", "appnet.variable"
DIRECTION = "appnet.direction"
CLIENT, SERVER, SIDE, VERSION = "appnet.client", "appnet.server", "appnet.side", "appnet.version"
PROCESSOR, INSTANCE = "appnet.processor", "service.instance.id"
_END = (CLIENT, SERVER, SIDE)
JUDGED = (*_END, METHOD, VERSION)
ATTRIBUTES = {
    CALLS: JUDGED,
    IN_FLIGHT: JUDGED,
    **dict.fromkeys((*DURATIONS.values(), STAYS), JUDGED),
    MESSAGE_BYTES: (*JUDGED, DIRECTION),
    STARTS: (*_END, VERSION),
    ENTRIES: (*_END, VERSION, ELEMENT, VARIABLE),
    REFUSALS: (*JUDGED, ELEMENT, HANDLER, STATUS),
    REPLIES: (*JUDGED, ELEMENT, HANDLER),
    ROW_HITS: (*JUDGED, ELEMENT, HANDLER, ROW),
    EVICTIONS: (*_END, VERSION, ELEMENT),
    RECORDS_DROPPED: (*_END, VERSION, ELEMENT, VARIABLE),
    SPANS_DROPPED: (*_END, VERSION),
    **dict.fromkeys((ROUND_TRIPS, CONFLICTS, STORE_ERRORS), (*_END, VERSION, ELEMENT)),
    **dict.fromkeys((MERGES, STALENESS), (*_END, VERSION, ELEMENT, VARIABLE)),
}
"""By which what each metric counts is shown."""
NOW = frozenset({IN_FLIGHT, ENTRIES})
"""Those that say how much there is now: of instances that have ended, nothing."""
_HISTOGRAMS = frozenset({*DURATIONS.values(), STAYS})

_CUMULATIVE = 2
_MOST_BUCKETS, _MOST_ATTRIBUTES, _LONGEST_TEXT = 1_024, 32, 1_024
_SCALE = 3  # of chains: eight buckets in each power of two. Histograms of others would not add up with theirs
_MOST_SECONDS = 2.0**64


@dataclass(frozen=True)
class Histogram:
    """``counts[i]`` values were above base^(first+i) and at most base^(first+i+1), where base is 2^(2^-scale)."""

    scale: int
    first: int
    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """The value that this share of all is at most, within half a bucket; NaN of none."""
        wanted, seen = share * self.count, 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return float(2.0 ** ((self.first + index + 0.5) * 2.0**-self.scale))
        return math.nan

    def plus(self, other: Histogram, sign: int = 1) -> Histogram:
        """Both together; with the sign -1, what this one has more. Raises ValueError where their scales differ."""
        if self.scale != other.scale:
            raise ValueError(f"histograms of the scales {self.scale} and {other.scale}")
        first = min(self.first, other.first)
        end = max(self.first + len(self.counts), other.first + len(other.counts))
        counts = [0] * (end - first)
        for index, count in enumerate(self.counts, self.first - first):
            counts[index] = count
        for index, count in enumerate(other.counts, other.first - first):
            counts[index] = max(0, counts[index] + sign * count)
        return Histogram(self.scale, first, tuple(counts), self.sum + sign * other.sum)


Value = int | Histogram


def increase(before: int, now: int) -> int:
    """How much a count has grown; all of it where it is smaller, because whoever counts has begun again."""
    return now - before if now >= before else now


@dataclass(frozen=True)
class Point:
    """What an instance had counted at ``time_ns`` since ``start_ns``, in nanoseconds since the Unix epoch."""

    name: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    value: Value
    start_ns: int
    time_ns: int


def decode_metrics(body: bytes) -> list[Point]:
    """The points in an encoded ``ExportMetricsServiceRequest``.

    Raises ``MalformedTelemetryError`` for what chains do not send: only cumulative sums of integers and exponential
    histograms are understood, of an instance that tells its id.
    """
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedTelemetryError(f"not an ExportMetricsServiceRequest: {error}") from error
    points: list[Point] = []
    for resource_metrics in request.resource_metrics:
        resource = _texts(resource_metrics.resource.attributes)
        if not resource.get(INSTANCE):
            raise MalformedTelemetryError(f"a resource has no {INSTANCE}")
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                points.extend(_points(metric, resource))
    return points


def _points(metric: Any, resource: Mapping[str, str]) -> Iterator[Point]:
    kind = metric.WhichOneof("value")
    if kind != ("exponential_histogram" if metric.name in _HISTOGRAMS else "sum"):
        raise MalformedTelemetryError(f"metric {metric.name[:_LONGEST_TEXT]!r} is a {kind}, which is not understood")
    data = getattr(metric, kind)
    if data.aggregation_temporality != _CUMULATIVE:
        raise MalformedTelemetryError(f"metric {metric.name[:_LONGEST_TEXT]!r} is not cumulative")
    for it in data.data_points:
        value = _integer(it) if kind == "sum" else _histogram(it)
        attributes = _texts(it.attributes)
        yield Point(_short(metric.name), attributes, resource, value, it.start_time_unix_nano, it.time_unix_nano)


def _integer(point: Any) -> int:
    if point.WhichOneof("value") != "as_int" or point.as_int < 0:
        raise MalformedTelemetryError("a sum is no count")
    return int(point.as_int)


def _histogram(point: Any) -> Histogram:
    counts = tuple(point.positive.bucket_counts)
    if len(counts) > _MOST_BUCKETS or point.scale != _SCALE or point.negative.bucket_counts or point.zero_count:
        raise MalformedTelemetryError("a histogram is none of durations")
    if sum(counts) != point.count:
        raise MalformedTelemetryError("a histogram's buckets do not add up to its count")
    if not 0 <= point.sum < _MOST_SECONDS:
        raise MalformedTelemetryError("a histogram's sum is none of durations")
    if abs(point.positive.offset) > 64 << _SCALE:
        raise MalformedTelemetryError("a histogram's buckets are of no duration")
    return Histogram(point.scale, point.positive.offset, counts, point.sum)


def _texts(attributes: Any) -> dict[str, str]:
    if len(attributes) > _MOST_ATTRIBUTES:
        raise MalformedTelemetryError(f"more than {_MOST_ATTRIBUTES} attributes")
    found: dict[str, str] = {}
    for it in attributes:
        if it.value.WhichOneof("value") != "string_value":
            raise MalformedTelemetryError(f"attribute {it.key[:_LONGEST_TEXT]!r} is no text")
        found[_short(it.key)] = _short(it.value.string_value)
    return found


def _short(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise MalformedTelemetryError(f"a name is longer than {_LONGEST_TEXT} characters")
    return text
