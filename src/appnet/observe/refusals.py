"""Why calls were refused: what the handler that did it had read, as it arrives in OTLP log records of its own scope."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Any

from google.protobuf.message import DecodeError

from appnet.observe.otlp import ExportLogsServiceRequest
from appnet.observe.records import REFUSALS, MalformedTelemetryError, RecordValue, value_of

_KEPT = 2_000
_ELEMENTS = 1_000
_MOST_BYTES = 16 << 10  # of a refusal; chains send less than half of it
_TEXTS = ("appnet.element", "appnet.handler", "appnet.row", "appnet.request_id", "rpc.method")
_COUNTS = ("appnet.code", "appnet.left_out", "appnet.reads.cut")


class Kind(IntEnum):
    """What was read: see ``why.h``."""

    FIELD = 0
    HAS = 1
    STATE = 2
    ENTRY = 3
    WHOLE = 4
    ADDED = 5
    ASKED = 6
    DRAW = 7


class Told(IntEnum):
    """How much of what was read is told."""

    WHOLE = 0
    CUT = 1
    SECRET = 2


@dataclass(frozen=True)
class Read:
    """Something that a handler read. ``key``: of an entry, or what an operation was given first; None without one.

    ``value``: texts are str, or bytes if they are no UTF-8; pairs, Vecs and Maps are tuples, Maps of pairs; an entry is
    a tuple of its value, or of nothing.
    """

    kind: Kind
    name: str
    key: RecordValue
    value: RecordValue
    told: Told


@dataclass(frozen=True)
class Refusal:
    """A call that ``handler`` of ``element`` refused, with ``code`` and ``text``.

    ``row``: of its match-action table; empty where it refused in none, None where it ran out of memory. ``cut``: how
    much of what it read there was no room for, at least. ``left_out``: how many refusals of the element, in this
    instance of the chain, were not told of before. ``resource``: whence it comes, as `Record` has it.
    """

    time_ns: int
    element: str
    handler: str
    row: str | None
    method: str
    code: int
    text: str | bytes
    request_id: str
    trace_id: str
    left_out: int
    cut: int
    reads: tuple[Read, ...]
    resource: Mapping[str, RecordValue]


def decode_refusals(body: bytes) -> list[Refusal]:
    """The refusals in an encoded ``ExportLogsServiceRequest``; raises ``MalformedTelemetryError``."""
    if REFUSALS.encode() not in body:
        return []
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedTelemetryError(f"not an ExportLogsServiceRequest: {error}") from error
    return list(_refusals(request))


def _refusals(request: Any) -> Iterator[Refusal]:
    for logs in request.resource_logs:
        resource = {it.key: value_of(it.value) for it in logs.resource.attributes}
        for scope in logs.scope_logs:
            if scope.scope.name == REFUSALS:
                yield from (_refusal(it, resource) for it in scope.log_records)


def _refusal(record: Any, resource: Mapping[str, RecordValue]) -> Refusal:
    if record.ByteSize() > _MOST_BYTES:
        raise MalformedTelemetryError(f"a record of {REFUSALS} takes more than {_MOST_BYTES} bytes")
    told = {it.key: value_of(it.value) for it in record.attributes}
    text = value_of(record.body)
    reads = told.get("appnet.reads", ())
    whole = (
        isinstance(text, str | bytes)
        and isinstance(reads, tuple)
        and all(isinstance(told.get(it, ""), str) for it in _TEXTS)
        and all(isinstance(told.get(it, 0), int) for it in _COUNTS)
        and told.get("appnet.element")
    )
    if not whole:
        raise MalformedTelemetryError(f"a record of {REFUSALS} is none that chains send")
    texts: dict[str, Any] = {it: told.get(it, "") for it in _TEXTS}
    counts: dict[str, Any] = {it: told.get(it, 0) for it in _COUNTS}
    return Refusal(
        record.time_unix_nano,
        texts["appnet.element"],
        texts["appnet.handler"],
        texts["appnet.row"] if "appnet.row" in told else None,
        texts["rpc.method"],
        counts["appnet.code"],
        text,  # type: ignore[arg-type]
        texts["appnet.request_id"],
        record.trace_id.hex(),
        counts["appnet.left_out"],
        counts["appnet.reads.cut"],
        tuple(map(_read, reads)),  # type: ignore[arg-type]
        resource,
    )


def _read(item: RecordValue) -> Read:
    match item:
        case (int() as kind, str() as name, key, value, int() as told) if kind in [*Kind] and told in [*Told]:
            return Read(Kind(kind), name, key, value, Told(told))
    raise MalformedTelemetryError(f"a read of a record of {REFUSALS} is none that chains send")


class RefusalStore:
    """Keeps the latest refusals, and of each element the last one."""

    def __init__(self, kept: int = _KEPT, elements: int = _ELEMENTS) -> None:
        self._kept: deque[Refusal] = deque(maxlen=kept)
        self._last: dict[str, Refusal] = {}
        self._elements = elements
        self._count = 0

    def add(self, refusal: Refusal) -> None:
        """Keeps it, in the place of the oldest where there are too many."""
        self._kept.append(refusal)
        self._count += 1
        before = self._last.pop(refusal.element, None)
        self._last[refusal.element] = refusal if before is None or before.time_ns <= refusal.time_ns else before
        if len(self._last) > self._elements:
            del self._last[next(iter(self._last))]

    def of_call(self, name: str) -> list[Refusal]:
        """Those of calls with this x-request-id or trace id, the latest last."""
        found = [it for it in self._kept if name and name in {it.request_id, it.trace_id}]
        return sorted(found, key=lambda it: it.time_ns)

    def last_of(self, element: str) -> Refusal | None:
        """The last of the element."""
        return self._last.get(element)

    def latest(self, most: int) -> list[tuple[int, Refusal]]:
        """The last ones with their numbers, in the order in which they came, the last first."""
        some = islice(reversed(self._kept), most)
        return [(self._count - place, it) for place, it in enumerate(some)]

    def numbered(self, number: int) -> Refusal | None:
        """The one of this number; None where it is not kept any more, or has not come."""
        place = number - self._count - 1
        return self._kept[place] if -len(self._kept) <= place < 0 else None

    def elements(self) -> list[str]:
        """Those that have refused calls."""
        return sorted(self._last)
