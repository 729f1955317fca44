"""Records and metrics that leave processors, received as OTLP, kept and summed up for display."""

from appnet.observe.points import Histogram, Point, decode_metrics
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.records import MalformedTelemetryError, Record, Records, RecordValue, decode_logs
from appnet.observe.refusals import Refusal, RefusalStore, decode_refusals
from appnet.observe.store import FloatSummary, RecordStore, StreamKey, StreamSummary
from appnet.observe.totals import Totals

__all__ = [
    "FloatSummary",
    "Histogram",
    "MalformedTelemetryError",
    "OtlpReceiver",
    "Point",
    "Record",
    "RecordStore",
    "RecordValue",
    "Records",
    "Refusal",
    "RefusalStore",
    "StreamKey",
    "StreamSummary",
    "Totals",
    "decode_logs",
    "decode_metrics",
    "decode_refusals",
]
