"""One entry of an element's append-only Vec, as it arrives in an OTLP log record."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, repeat
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from appnet.observe.otlp import ExportLogsServiceRequest

REFUSALS = "appnet.refusals"
"""The scope of records that say why calls were refused: see `appnet.observe.refusals`. No element records them."""
MOST_RECORDS = 200_000
"""In a post. An empty one takes two bytes of it, and hundreds here."""
_TOO_MANY = f"more than {MOST_RECORDS} records in one post"
MOST_TOGETHER = 1_024
_MOST_TOGETHER_BYTES = 1 << 20
_UNSEEN_BYTES = 4 << 20  # whose records, however many, are few enough for protobuf
_MOST_RESOURCE_BYTES, _LONGEST_NAME = 32 << 10, 1_024

_PLAIN = frozenset({"bool_value", "int_value", "double_value", "string_value", "bytes_value"})
_TEXTS = {str, bytes}
_SMALL_BYTES = 8

RecordValue = bool | int | float | str | bytes | tuple["RecordValue", ...] | None


class MalformedTelemetryError(ValueError):
    """A post that is not an OTLP logs request as AppNet's chains send them."""


class Record(NamedTuple):
    """An entry that ``element`` appended to its Vec ``variable``.

    ``time_ns`` is nanoseconds since the Unix epoch. ``value`` is a pair as a tuple, an Instant as nanoseconds.
    ``resource`` says where it comes from: ``service.name``, ``appnet.processor``, ``appnet.version``.
    """

    time_ns: int
    element: str
    variable: str
    value: RecordValue
    resource: Mapping[str, RecordValue]


@dataclass(frozen=True)
class Records:
    """Some of one stream that came together, in columns: `Record` says what is in these, and is what iterating gives.

    They are taken, kept and packed together, because tens of thousands may come in a second.
    """

    element: str
    variable: str
    resource: Mapping[str, RecordValue]
    times_ns: Sequence[int]
    values: Sequence[RecordValue]

    @staticmethod
    def of(*records: Record) -> Records:
        """Those of one stream and one resource; at least one."""
        _, element, variable, _, resource = records[0]
        return Records(element, variable, resource, [it.time_ns for it in records], [it.value for it in records])

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Record]:
        return self._records(self.times_ns, self.values)

    def __reversed__(self) -> Iterator[Record]:
        return self._records(reversed(self.times_ns), reversed(self.values))

    def _records(self, times_ns: Iterable[int], values: Iterable[RecordValue]) -> Iterator[Record]:
        return map(Record, times_ns, repeat(self.element), repeat(self.variable), values, repeat(self.resource))

    @cached_property
    def size(self) -> int:
        """About how many bytes the values take."""
        return size_of(self.values)

    @cached_property
    def latest_ns(self) -> int:
        """The time of the latest of them."""
        return max(self.times_ns)

    @cached_property
    def floats(self) -> Sequence[float]:
        """Those values that are floats and numbers, the least first."""
        found = [it for it in self.values if isinstance(it, float)] if float in set(map(type, self.values)) else []
        return sorted(it for it in found if not math.isnan(it))


def size_of(values: Sequence[RecordValue]) -> int:
    """About how many bytes they take."""
    kinds = set(map(type, values))
    if kinds <= _TEXTS:
        return sum(map(len, values))  # type: ignore[arg-type]
    if tuple not in kinds and kinds.isdisjoint(_TEXTS):
        return len(values) * _SMALL_BYTES
    return sum(size_of(it) if isinstance(it, tuple) else size_of((it,)) for it in values)


def decode_logs(body: bytes) -> list[Records]:
    """The records in an encoded ``ExportLogsServiceRequest``, at most `MOST_TOGETHER` together; raises
    ``MalformedTelemetryError``."""
    if len(body) > _UNSEEN_BYTES:
        _check_number(body)
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedTelemetryError(f"not an ExportLogsServiceRequest: {error}") from error
    if sum(len(it.log_records) for one in request.resource_logs for it in one.scope_logs) > MOST_RECORDS:
        raise MalformedTelemetryError(_TOO_MANY)
    records: list[Records] = []
    for resource_logs in request.resource_logs:
        if resource_logs.resource.ByteSize() > _MOST_RESOURCE_BYTES:
            raise MalformedTelemetryError(f"a resource takes more than {_MOST_RESOURCE_BYTES} bytes")
        resource = {pair.key: value_of(pair.value) for pair in resource_logs.resource.attributes}
        for scope_logs in resource_logs.scope_logs:
            records.extend(_scope_records(scope_logs, resource))
    return records


def _scope_records(scope_logs: Any, resource: Mapping[str, RecordValue]) -> Iterator[Records]:
    element, _, variable = scope_logs.scope.name.rpartition(".")
    if not element or not variable or len(scope_logs.scope.name) > _LONGEST_NAME:
        raise MalformedTelemetryError(f"scope {scope_logs.scope.name[:_LONGEST_NAME]!r} is not ELEMENT.VARIABLE")
    if scope_logs.scope.name == REFUSALS:
        return
    entries = list(scope_logs.log_records)
    # In as few bytes and objects as may be, since hundreds of thousands are kept.
    times, values = array("Q", [it.time_unix_nano for it in entries]), tuple([value_of(it.body) for it in entries])
    together = max(1, min(MOST_TOGETHER, len(values) * _MOST_TOGETHER_BYTES // (size_of(values) + 1)))
    for first in range(0, len(values), together):
        end = first + together
        yield Records(element, variable, resource, times[first:end], values[first:end])


def value_of(value: Any) -> RecordValue:
    """An encoded ``AnyValue`` as data; raises ``MalformedTelemetryError``."""
    kind = value.WhichOneof("value")
    if kind in _PLAIN:
        plain: RecordValue = getattr(value, kind)
        return plain
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(value_of(item) for item in value.array_value.values)
    raise MalformedTelemetryError(f"a record cannot hold a {kind}")


def _check_number(body: bytes) -> None:
    """Raises `MalformedTelemetryError` where there are too many records to take them apart."""
    number, seen = 0, count()
    for resource_logs in _parts(body, 0, len(body), 1, seen):
        for scope_logs in _parts(body, *resource_logs, 2, seen):
            for _ in _parts(body, *scope_logs, 2, seen):
                number += 1
                if number > MOST_RECORDS:
                    raise MalformedTelemetryError(_TOO_MANY)


def _parts(body: bytes, place: int, end: int, wanted: int, seen: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Where the submessages of the field ``wanted`` begin and end, in a message of protobuf. What is malformed ends
    them: protobuf says more about it. ``seen`` counts all fields, also others: raises `MalformedTelemetryError` where
    they are too many to be looked at."""
    try:
        while place < end:
            if next(seen) > 2 * MOST_RECORDS:
                raise MalformedTelemetryError("too many fields beside the records in one post")
            tag, place = _varint(body, place)
            match tag & 7:
                case 0:
                    _, place = _varint(body, place)
                case 1:
                    place += 8
                case 2:
                    size, place = _varint(body, place)
                    if tag >> 3 == wanted:
                        yield place, min(place + size, end)
                    place += size
                case 5:
                    place += 4
                case _:
                    return
    except IndexError:
        return


def _varint(body: bytes, place: int) -> tuple[int, int]:
    """The number at a place, and where it ends. Raises IndexError behind the end."""
    found = shift = 0
    while True:
        byte = body[place]
        place += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return found, place
        shift += 7
