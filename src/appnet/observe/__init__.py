"""Records that leave processors, received as OTLP, kept and summed up for display."""

from appnet.observe.receiver import OtlpReceiver
from appnet.observe.records import MalformedTelemetryError, Record, RecordValue, decode_logs
from appnet.observe.store import FloatSummary, RecordStore, StreamKey, StreamSummary

__all__ = [
    "FloatSummary",
    "MalformedTelemetryError",
    "OtlpReceiver",
    "Record",
    "RecordStore",
    "RecordValue",
    "StreamKey",
    "StreamSummary",
    "decode_logs",
]
