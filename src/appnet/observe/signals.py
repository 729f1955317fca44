"""The signals that are received and forwarded, and how OTLP names them."""

from __future__ import annotations

import enum

from appnet.observe.otlp import (
    ExportLogsServiceResponse,
    ExportMetricsServiceResponse,
    ExportTraceServiceResponse,
)


class TooLargeError(ValueError):
    """A post that is larger than chains send; the text says how much that is."""


class Signal(enum.Enum):
    """A kind of telemetry."""

    LOGS = "logs"
    METRICS = "metrics"
    TRACES = "traces"

    @property
    def path(self) -> str:
        """Where it is posted over HTTP."""
        return f"/v1/{self.value}"

    @property
    def service(self) -> str:
        """Whose method ``Export`` takes it over gRPC."""
        name = "trace" if self is Signal.TRACES else self.value
        return f"opentelemetry.proto.collector.{name}.v1.{name.capitalize()}Service"

    @property
    def response(self) -> bytes:
        """An encoded answer that all was taken."""
        found: bytes = _RESPONSES[self]().SerializeToString()
        return found

    @property
    def most_bytes(self) -> int:
        """Of a post, decompressed. Many small points take a second or two, and small spans much memory."""
        return _MOST_BYTES[self]


_RESPONSES = {
    Signal.LOGS: ExportLogsServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.TRACES: ExportTraceServiceResponse,
}
_MOST_BYTES = {Signal.LOGS: 64 << 20, Signal.METRICS: 8 << 20, Signal.TRACES: 4 << 20}
