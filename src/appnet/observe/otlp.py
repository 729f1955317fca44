"""The part of OpenTelemetry's protocol (OTLP) that chains send and the controller reads.

Declared here because the published message classes cannot be relied on: the wheels `xds-protos` and
`opentelemetry-proto` both bring the package ``opentelemetry.proto``, of different ages, and the last one installed
wins. Field numbers are OTLP 1.x; fields not declared are kept as unknown ones.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "appnet.otlp"

# Message: its fields as name, number, type; `*` marks a repeated field, `|` a member of the oneof `value`.
_MESSAGES: dict[str, list[tuple[str, int, str]]] = {
    "AnyValue": [
        ("string_value", 1, "|string"),
        ("bool_value", 2, "|bool"),
        ("int_value", 3, "|int64"),
        ("double_value", 4, "|double"),
        ("array_value", 5, "|ArrayValue"),
        ("kvlist_value", 6, "|KeyValueList"),
        ("bytes_value", 7, "|bytes"),
    ],
    "ArrayValue": [("values", 1, "*AnyValue")],
    "KeyValueList": [("values", 1, "*KeyValue")],
    "KeyValue": [("key", 1, "string"), ("value", 2, "AnyValue")],
    "Resource": [("attributes", 1, "*KeyValue")],
    "InstrumentationScope": [("name", 1, "string"), ("version", 2, "string")],
    "LogRecord": [
        ("time_unix_nano", 1, "fixed64"),
        ("body", 5, "AnyValue"),
        ("attributes", 6, "*KeyValue"),
        ("trace_id", 9, "bytes"),
        ("event_name", 12, "string"),
    ],
    "ScopeLogs": [("scope", 1, "InstrumentationScope"), ("log_records", 2, "*LogRecord")],
    "ResourceLogs": [("resource", 1, "Resource"), ("scope_logs", 2, "*ScopeLogs")],
    "ExportLogsServiceRequest": [("resource_logs", 1, "*ResourceLogs")],
    "ExportLogsServiceResponse": [],
    "NumberDataPoint": [
        ("start_time_unix_nano", 2, "fixed64"),
        ("time_unix_nano", 3, "fixed64"),
        ("as_double", 4, "|double"),
        ("as_int", 6, "|sfixed64"),
        ("attributes", 7, "*KeyValue"),
    ],
    "Buckets": [("offset", 1, "sint32"), ("bucket_counts", 2, "*uint64")],
    "ExponentialHistogramDataPoint": [
        ("attributes", 1, "*KeyValue"),
        ("start_time_unix_nano", 2, "fixed64"),
        ("time_unix_nano", 3, "fixed64"),
        ("count", 4, "fixed64"),
        ("sum", 5, "double"),
        ("scale", 6, "sint32"),
        ("zero_count", 7, "fixed64"),
        ("positive", 8, "Buckets"),
        ("negative", 9, "Buckets"),
    ],
    "Sum": [
        ("data_points", 1, "*NumberDataPoint"),
        ("aggregation_temporality", 2, "int32"),
        ("is_monotonic", 3, "bool"),
    ],
    "ExponentialHistogram": [
        ("data_points", 1, "*ExponentialHistogramDataPoint"),
        ("aggregation_temporality", 2, "int32"),
    ],
    "OtherData": [],
    "Metric": [
        ("name", 1, "string"),
        ("unit", 3, "string"),
        ("gauge", 5, "|OtherData"),
        ("sum", 7, "|Sum"),
        ("histogram", 9, "|OtherData"),
        ("exponential_histogram", 10, "|ExponentialHistogram"),
        ("summary", 11, "|OtherData"),
    ],
    "ScopeMetrics": [("scope", 1, "InstrumentationScope"), ("metrics", 2, "*Metric")],
    "ResourceMetrics": [("resource", 1, "Resource"), ("scope_metrics", 2, "*ScopeMetrics")],
    "ExportMetricsServiceRequest": [("resource_metrics", 1, "*ResourceMetrics")],
    "ExportMetricsServiceResponse": [],
    "Event": [("time_unix_nano", 1, "fixed64"), ("name", 2, "string"), ("attributes", 3, "*KeyValue")],
    "Status": [("message", 2, "string"), ("code", 3, "int32")],
    "Span": [
        ("trace_id", 1, "bytes"),
        ("span_id", 2, "bytes"),
        ("parent_span_id", 4, "bytes"),
        ("name", 5, "string"),
        ("kind", 6, "int32"),
        ("start_time_unix_nano", 7, "fixed64"),
        ("end_time_unix_nano", 8, "fixed64"),
        ("attributes", 9, "*KeyValue"),
        ("events", 11, "*Event"),
        ("dropped_events_count", 12, "uint64"),
        ("status", 15, "Status"),
    ],
    "ScopeSpans": [("scope", 1, "InstrumentationScope"), ("spans", 2, "*Span")],
    "ResourceSpans": [("resource", 1, "Resource"), ("scope_spans", 2, "*ScopeSpans")],
    "ExportTraceServiceRequest": [("resource_spans", 1, "*ResourceSpans")],
    "ExportTraceServiceResponse": [],
}

_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "sint32": FieldDescriptorProto.TYPE_SINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "fixed64": FieldDescriptorProto.TYPE_FIXED64,
    "sfixed64": FieldDescriptorProto.TYPE_SFIXED64,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
}


def _declare(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("*"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    elif kind.startswith("|"):
        field.oneof_index = 0
    kind = kind.lstrip("*|")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"


def _message_classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="appnet/otlp.proto", package=_PACKAGE, syntax="proto3")
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        if any(kind.startswith("|") for _, _, kind in fields):
            message.oneof_decl.add(name="value")
        for field in fields:
            _declare(message, *field)
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_CLASSES = _message_classes()

AnyValue: Any = _CLASSES["AnyValue"]
ArrayValue: Any = _CLASSES["ArrayValue"]
KeyValueList: Any = _CLASSES["KeyValueList"]
Resource: Any = _CLASSES["Resource"]
ExportLogsServiceRequest: Any = _CLASSES["ExportLogsServiceRequest"]
ExportLogsServiceResponse: Any = _CLASSES["ExportLogsServiceResponse"]
ExportMetricsServiceRequest: Any = _CLASSES["ExportMetricsServiceRequest"]
ExportMetricsServiceResponse: Any = _CLASSES["ExportMetricsServiceResponse"]
ExportTraceServiceRequest: Any = _CLASSES["ExportTraceServiceRequest"]
ExportTraceServiceResponse: Any = _CLASSES["ExportTraceServiceResponse"]
