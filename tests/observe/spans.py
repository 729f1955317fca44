"""Spans for tests."""

from __future__ import annotations

from typing import Any

from appnet.observe.otlp import ExportTraceServiceRequest
from appnet.observe.spans import Span, SpanEvent

MINIMAL: dict[str, Any] = {
    "trace_id": b"\x01" * 16,
    "span_id": b"\x02" * 8,
    "name": "echo",
    "start_time_unix_nano": 5,
    "end_time_unix_nano": 8,
}
"""Fields of a span that is taken."""


def spans_of(*spans: dict[str, Any]) -> bytes:
    """An encoded ExportTraceServiceRequest with these."""
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "echo"
    scope = resource_spans.scope_spans.add()
    for it in spans:
        scope.spans.add(**it)
    return bytes(message.SerializeToString())


def span(
    trace: int, number: int, parent: int = 0, start_ns: int = 1_000, name: str = "echo", **attributes: Any
) -> Span:
    """One of an edge, with an event."""
    resource = {"appnet.client": "shop", "appnet.server": "stock", "appnet.side": "client", "appnet.version": "v1"}
    told = {"appnet.element": "wall", "appnet.handler": "req", "appnet.row": "1a", "appnet.verdict": "forward"}
    event = SpanEvent(start_ns + 1_000, "appnet.element", told)
    parent_id = f"{parent:016x}" if parent else ""
    ids = (f"{trace:032x}", f"{number:016x}", parent_id)
    return Span(*ids, name, 3, start_ns, start_ns + 2_000_000, attributes, (event,), 0, False, resource)
