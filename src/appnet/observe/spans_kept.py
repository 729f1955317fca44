"""Spans in the file of telemetry: each row has spans of one trace that came together."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from appnet.observe.chunks import DamagedChunkError, plain, value
from appnet.observe.database import DamagedError
from appnet.observe.spans import Span, SpanEvent

MOST_SPANS = 1_000
"""That are read of a trace."""
_LEVEL = 1


def by_trace(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """The spans of each trace; the trace that came last is last."""
    found: dict[str, list[Span]] = {}
    for it in spans:
        several = found.pop(it.trace_id, [])
        several.append(it)
        found[it.trace_id] = several
    return found


def span_document(span: Span) -> dict[str, Any]:
    """The span as JSON has it; bytes in base64."""
    events = [{"time_ns": it.time_ns, "name": it.name, "attributes": _plain(it.attributes)} for it in span.events]
    return {
        **span._asdict(),
        "attributes": _plain(span.attributes),
        "resource": _plain(span.resource),
        "events": events,
    }


def encode_spans(spans: Sequence[Span]) -> bytes:
    """The spans of one trace, as they are kept."""
    return zlib.compress(json.dumps([span_document(it) for it in spans], separators=(",", ":")).encode(), _LEVEL)


def decode_kept(body: bytes) -> list[Span]:
    """What `encode_spans` was given. Raises `DamagedChunkError`."""
    try:
        return [_span(it) for it in json.loads(zlib.decompress(body))]
    except (zlib.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedChunkError(f"spans: {error}") from error


def last_traces(connection: sqlite3.Connection, number: int, since_ns: int, until: int) -> list[str]:
    """The ids of the last traces since ``since_ns``, in rows up to ``until``; the latest first."""
    found: dict[str, None] = {}
    rows = connection.execute("SELECT trace FROM spans WHERE id >= ? AND id <= ? ORDER BY id DESC", (since_ns, until))
    for (trace,) in rows:
        found[trace] = None
        if len(found) >= number:
            break
    return list(found)


def spans_of(connection: sqlite3.Connection, trace: str, until: int) -> list[Span]:
    """The first spans of the trace that came in rows up to ``until``."""
    rows = connection.execute("SELECT body FROM spans WHERE trace = ? AND id <= ? ORDER BY id", (trace, until))
    found: list[Span] = []
    try:
        for (body,) in rows:
            found += decode_kept(body)
            if len(found) >= MOST_SPANS:
                break
    except DamagedChunkError as error:
        raise DamagedError(str(error)) from error
    return found[:MOST_SPANS]


def _plain(attributes: Any) -> dict[str, Any]:
    return {key: plain(it) for key, it in attributes.items()}


def _values(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: value(it) for key, it in attributes.items()}


def _span(found: dict[str, Any]) -> Span:
    events = tuple(SpanEvent(it["time_ns"], it["name"], _values(it["attributes"])) for it in found["events"])
    whole = {**found, "attributes": _values(found["attributes"]), "resource": _values(found["resource"])}
    return Span(**{**whole, "events": events})
