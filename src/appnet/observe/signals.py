"""The signals that are received and forwarded, and how OTLP names them."""

from __future__ import annotations

import enum

from appnet.observe.otlp import ExportLogsServiceResponse, ExportMetricsServiceResponse


class TooLargeError(ValueError):
    """A post that is larger than chains send; the text says how much that is."""


class Signal(enum.Enum):
    """A kind of telemetry."""

    LOGS = "logs"
    METRICS = "metrics"

    @property
    def path(self) -> str:
        """Where it is posted over HTTP."""
        return f"/v1/{self.value}"

    @property
    def service(self) -> str:
        """Whose method ``Export`` takes it over gRPC."""
        return f"opentelemetry.proto.collector.{self.value}.v1.{self.value.capitalize()}Service"

    @property
    def response(self) -> bytes:
        """An encoded answer that all was taken."""
        answer = ExportLogsServiceResponse() if self is Signal.LOGS else ExportMetricsServiceResponse()
        found: bytes = answer.SerializeToString()
        return found

    @property
    def most_bytes(self) -> int:
        """Of a post, decompressed. An instance may not tell more counts: small points take a second or two."""
        return 64 << 20 if self is Signal.LOGS else 8 << 20
