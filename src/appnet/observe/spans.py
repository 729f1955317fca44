"""Spans of traces, as they arrive in OTLP: from an AppNet module, or from a program that also sends its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from appnet.observe.otlp import ExportTraceServiceRequest
from appnet.observe.records import MalformedTelemetryError, RecordValue, value_of

MOST_SPANS = 20_000
"""In a post."""
_TRACE_ID, _SPAN_ID = 16, 8
_MOST_BYTES = 64 << 10  # of a span, and of a resource; chains send a quarter of it
_MOST_ATTRIBUTES, _MOST_EVENTS, _LONGEST_TEXT = 128, 128, 1_024
_MOST_NS = 2**63
_ERROR = 2


class SpanEvent(NamedTuple):
    """Something that happened in a span, at nanoseconds since the Unix epoch."""

    time_ns: int
    name: str
    attributes: Mapping[str, RecordValue]


class Span(NamedTuple):
    """A part of a trace. Ids are hexadecimal; ``parent_id`` is empty where there is none. Times are nanoseconds since
    the Unix epoch. ``kind``: as OTLP numbers it. ``resource``: where it comes from, as in `Record`."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, RecordValue]
    events: tuple[SpanEvent, ...]
    dropped_events: int
    failed: bool
    resource: Mapping[str, RecordValue]


def decode_spans(body: bytes) -> list[Span]:
    """The spans in an encoded ``ExportTraceServiceRequest``; raises ``MalformedTelemetryError``."""
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedTelemetryError(f"not an ExportTraceServiceRequest: {error}") from error
    if sum(len(it.spans) for one in request.resource_spans for it in one.scope_spans) > MOST_SPANS:
        raise MalformedTelemetryError(f"more than {MOST_SPANS} spans in one post")
    return list(_spans(request))


def _spans(request: Any) -> Iterator[Span]:
    for resource_spans in request.resource_spans:
        if resource_spans.resource.ByteSize() > _MOST_BYTES:
            raise MalformedTelemetryError(f"a resource takes more than {_MOST_BYTES} bytes")
        resource = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            yield from (_span(it, resource) for it in scope_spans.spans)


def _span(it: Any, resource: Mapping[str, RecordValue]) -> Span:
    if it.ByteSize() > _MOST_BYTES:
        raise MalformedTelemetryError(f"a span takes more than {_MOST_BYTES} bytes")
    if len(it.events) > _MOST_EVENTS:
        raise MalformedTelemetryError(f"a span has more than {_MOST_EVENTS} events")
    times = (it.start_time_unix_nano, it.end_time_unix_nano, *(event.time_unix_nano for event in it.events))
    if max(times) >= _MOST_NS or it.end_time_unix_nano < it.start_time_unix_nano:
        raise MalformedTelemetryError("a span has impossible times")
    return Span(
        _id(it.trace_id, _TRACE_ID, "trace"),
        _id(it.span_id, _SPAN_ID, "span"),
        _id(it.parent_span_id, _SPAN_ID, "parent") if it.parent_span_id else "",
        _short(it.name),
        it.kind,
        it.start_time_unix_nano,
        it.end_time_unix_nano,
        _attributes(it.attributes),
        tuple(SpanEvent(one.time_unix_nano, _short(one.name), _attributes(one.attributes)) for one in it.events),
        it.dropped_events_count,
        it.status.code == _ERROR,
        resource,
    )


def _id(found: bytes, size: int, what: str) -> str:
    if len(found) != size or not any(found):
        raise MalformedTelemetryError(f"the id of a {what} is not {size} bytes other than zero")
    return found.hex()


def _attributes(found: Any) -> dict[str, RecordValue]:
    if len(found) > _MOST_ATTRIBUTES:
        raise MalformedTelemetryError(f"more than {_MOST_ATTRIBUTES} attributes")
    return {_short(it.key): value_of(it.value) for it in found}


def _short(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise MalformedTelemetryError(f"a name is longer than {_LONGEST_TEXT} characters")
    return text
