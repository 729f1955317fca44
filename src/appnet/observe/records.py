"""One entry of an element's append-only Vec, as it arrives in an OTLP log record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from appnet.observe.otlp import ExportLogsServiceRequest

REFUSALS = "appnet.refusals"
"""The scope of records that say why calls were refused: see `appnet.observe.refusals`. No element records them."""

RecordValue = bool | int | float | str | bytes | tuple["RecordValue", ...] | None


class MalformedTelemetryError(ValueError):
    """A post that is not an OTLP logs request as AppNet's chains send them."""


@dataclass(frozen=True)
class Record:
    """An entry that ``element`` appended to its Vec ``variable``.

    ``time_ns`` is nanoseconds since the Unix epoch. ``value`` is a pair as a tuple, an Instant as nanoseconds.
    ``resource`` says where it comes from: ``service.name``, ``appnet.processor``, ``appnet.version``.
    """

    time_ns: int
    element: str
    variable: str
    value: RecordValue
    resource: Mapping[str, RecordValue]


def decode_logs(body: bytes) -> list[Record]:
    """The records in an encoded ``ExportLogsServiceRequest``; raises ``MalformedTelemetryError``."""
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedTelemetryError(f"not an ExportLogsServiceRequest: {error}") from error
    records: list[Record] = []
    for resource_logs in request.resource_logs:
        resource = {pair.key: value_of(pair.value) for pair in resource_logs.resource.attributes}
        for scope_logs in resource_logs.scope_logs:
            records.extend(_scope_records(scope_logs, resource))
    return records


def _scope_records(scope_logs: Any, resource: Mapping[str, RecordValue]) -> Iterator[Record]:
    element, _, variable = scope_logs.scope.name.rpartition(".")
    if not element or not variable:
        raise MalformedTelemetryError(f"scope {scope_logs.scope.name!r} is not ELEMENT.VARIABLE")
    for entry in scope_logs.log_records if scope_logs.scope.name != REFUSALS else ():
        yield Record(entry.time_unix_nano, element, variable, value_of(entry.body), resource)


def value_of(value: Any) -> RecordValue:
    """An encoded ``AnyValue`` as data; raises ``MalformedTelemetryError``."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(value_of(item) for item in value.array_value.values)
    if kind in ("bool_value", "int_value", "double_value", "string_value", "bytes_value"):
        plain: RecordValue = getattr(value, kind)
        return plain
    raise MalformedTelemetryError(f"a record cannot hold a {kind}")
