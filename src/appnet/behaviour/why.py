"""A refusal run again: what its handler had read becomes a case for the interpreter, which must come to the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from appnet.application.proto import ProtoFile
from appnet.behaviour.document import Behaviour, Case, Given, Refuses, Step
from appnet.behaviour.subject import REQUEST_HEADERS, RESPONSE_HEADERS
from appnet.behaviour.trace import HandlerTrace, trace_case
from appnet.diagnostics.place import Source, Span
from appnet.interpret.rpc import Repeated
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value, absent_value, same_value
from appnet.ir.nodes import Element, StateClass, StateVariable
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.types import BOOL, BYTES, FLOAT, INSTANT, INT, STRING, UINT, MapType, PairType, Type, VecType
from appnet.observe.refusals import Kind, Read, Refusal, Told

_EMPTY: Mapping[str, bytes] = {}


class NoReplayError(Exception):
    """Why the refusal cannot be run again, as a clause that follows "because"."""


@dataclass(frozen=True)
class Replay:
    """The case that the refusal became, and what the interpreter made of it.

    ``got``: the verdict; None where the call passed. ``row``: in which it refused. ``agrees``: all of it is as told.
    """

    case: Case
    got: Refuses | None
    row: str
    trace: HandlerTrace | None
    agrees: bool


def replay(
    refusal: Refusal, element: Element, method: MethodSignature, proto: ProtoFile | None, source: Source
) -> Replay:
    """Runs the refusal again. ``element``: of the version that refused, compiled for the method; ``source``: where it
    stands. Raises `NoReplayError` where not all is known that it takes.
    """
    case = case_of(refusal, element, method, source)
    behaviour = Behaviour(source, proto, method, (case,))  # type: ignore[arg-type]  # no message is encoded
    traces = list(trace_case(behaviour, case))
    ran = [it for step in traces for it in step.handlers if it.handler == refusal.handler]
    last = ran[-1] if ran else None
    got = traces[-1].outcome if traces else None
    verdict = got if isinstance(got, Refuses) else None
    row = (last.refused_row or "") if last is not None else ""
    return Replay(case, verdict, row, last, _agrees(refusal, verdict, row, last))


def _agrees(refusal: Refusal, got: Refuses | None, row: str, last: HandlerTrace | None) -> bool:
    text = _bytes(refusal.text)
    same_text = got is not None and (got.text == text or (len(text) >= 512 and got.text.startswith(text)))
    return (
        got is not None
        and last is not None
        and (got.code, row, last.handler) == (refusal.code, refusal.row, refusal.handler)
        and same_text
    )


def case_of(refusal: Refusal, element: Element, method: MethodSignature, source: Source) -> Case:
    """The refusal as a case of one step. Raises `NoReplayError`."""
    _check(refusal)
    found = _Inputs(element, method, refusal.handler)
    for it in refusal.reads:
        found.take(it)
    return found.case(refusal, Span.whole(source))


def _check(refusal: Refusal) -> None:
    if refusal.row is None:
        raise NoReplayError("it ran out of memory, which the interpreter does not")
    for it in refusal.reads:
        if it.told is Told.SECRET:
            raise NoReplayError(f"it takes {described(it)}, which is secret")
        if it.told is Told.CUT:
            raise NoReplayError(f"it takes {described(it)}, which is too long to be told")
    if refusal.cut:
        raise NoReplayError("it read more than there is room for")


def described(read: Read) -> str:
    """What was read, as people call it."""
    match read.kind:
        case Kind.FIELD:
            return f"rpc.{read.name}"
        case Kind.HAS:
            return f"whether there is rpc.{read.name}"
        case Kind.STATE | Kind.WHOLE | Kind.ADDED:
            return read.name
        case Kind.ENTRY:
            return f"the entry of {read.name}"
        case Kind.ASKED:
            return {"now": "the clock", "wall_time": "the time of day", "rpc_id": "the number of the call"}.get(
                read.name, read.name
            )
        case Kind.DRAW:
            return "a random draw"


def typed(raw: Any, type_: Type, later_ns: int = 0) -> Value:
    """A value of the type, as a record has it. ``later_ns``: what is added to an Instant. Raises `NoReplayError`."""
    match type_, raw:
        case PairType(first=first, second=second), (one, two):
            return (typed(one, first, later_ns), typed(two, second, later_ns))
        case VecType(item=item), tuple():
            return [typed(it, item, later_ns) for it in raw]
        case MapType(key=key, value=kept), tuple():
            return {typed(one, key, later_ns): typed(two, kept, later_ns) for one, two in raw}
    if type_ in {STRING, BYTES} and isinstance(raw, str | bytes):
        return _bytes(raw)
    if type_ == BOOL and isinstance(raw, bool):
        return raw
    if type_ == FLOAT and isinstance(raw, float):
        return raw
    if type_ in {INT, UINT, INSTANT} and isinstance(raw, int) and not isinstance(raw, bool):
        return raw % 2**64 if type_ == UINT else raw + (later_ns if type_ == INSTANT else 0)
    raise NoReplayError(f"a value of the type {type_} came as something else: another version sent it")


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


@dataclass
class _Inputs:
    """What a handler read, by what a case calls it. The first time counts: it is before anything was changed."""

    element: Element
    method: MethodSignature
    handler: str
    fields: dict[str, Value] = field(default_factory=dict)
    has: dict[str, bool] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, dict[Any, Any]] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    asked: dict[tuple[str, Any], Any] = field(default_factory=dict)
    draws: list[int] = field(default_factory=list)

    @property
    def is_response(self) -> bool:
        return self.handler == "resp"

    @property
    def schema(self) -> MessageSchema:
        return self.method.response if self.is_response else self.method.request

    def take(self, read: Read) -> None:
        """Notes it."""
        match read.kind:
            case Kind.FIELD:
                self.fields.setdefault(read.name, typed(read.value, self._field_type(read.name)))
            case Kind.HAS:
                self.has.setdefault(read.name, bool(read.value))
            case Kind.STATE | Kind.WHOLE:
                self.state.setdefault(read.name, read.value)
            case Kind.ENTRY:
                self.entries.setdefault(read.name, {}).setdefault(read.key, read.value)
            case Kind.ADDED:
                self.added[read.name] = self.added.get(read.name, 0) + 1
            case Kind.ASKED:
                self.asked.setdefault((read.name, read.key), read.value)
            case Kind.DRAW:
                self.draws.append(int(read.value) % 2**64)  # type: ignore[arg-type]

    def _field_type(self, path: str) -> Type:
        if path in self.schema.fields or path in self.schema.messages:
            return self.schema.field(path).type
        raise NoReplayError(f"{self.schema.full_name} has no field {path}: another version sent it")

    def case(self, refusal: Refusal, span: Span) -> Case:
        """All of it as a case."""
        trailers = {key: it for key, it in self._of("get_trailer").items() if it}
        metadata = self._metadata()
        status = int(self.asked.get(("status", None), 0))
        if self.is_response and status:
            metadata = {**trailers, **metadata}
        given = Given(
            dict(self._state()),
            self._call(),
            self.handler != "open",
            tuple(self.draws),
            self._wall_ns(),
            self._deadline_ns(),
            int(self.asked.get(("message_size", None), 0)),
            _bytes(self.asked.get(("authority", None), "")),
            _bytes(self.asked.get(("peer", None), "")),
            trailers,
            dict(self._loads()),
        )
        kind = "response" if self.is_response else "request"
        outcome = Refuses(refusal.code, _bytes(refusal.text))
        step = Step(span, kind, "#1", 0, 1, self._fields(), metadata, status, outcome)
        name = f"{refusal.element} refuses with {_bytes(refusal.text).decode(errors='backslashreplace')!r}"
        return Case(name, span, (self.element,), 1, self._backends(), (step,), given=given)

    def _fields(self) -> dict[str, Value]:
        found = {
            path: value
            for path, value in self.fields.items()
            if not same_value(value, absent_value(self.schema.field(path))) or self.has.get(path)
        }
        for path, there in self.has.items():
            if there and path not in found:
                one = self.schema.field(path)
                found[path] = True if one.is_message else absent_value(one)
            if not there:
                found = {it: value for it, value in found.items() if not self.schema.field(it).is_inside(path)}
        return found

    def _metadata(self) -> dict[str, bytes]:
        usual = RESPONSE_HEADERS if self.is_response else REQUEST_HEADERS
        found = {key: it for key, it in self._of("get_metadata").items() if it or key in usual}
        for (op, key), values in self.asked.items():
            if op == "get_metadata_all":
                texts = [_bytes(it) for it in values]
                name = _bytes(key).decode("latin-1").lower()
                if texts:
                    found[name] = texts[0] if len(texts) == 1 else Repeated(*texts)
        return found

    def _of(self, op: str) -> dict[str, bytes]:
        return {
            _bytes(key).decode("latin-1").lower(): _bytes(it) for (name, key), it in self.asked.items() if name == op
        }

    def _call(self) -> int:
        return int(self.asked.get(("rpc_id", None), 1)) or 1

    def _wall_ns(self) -> int | None:
        seconds = self.asked.get(("wall_time", None))
        return None if seconds is None else round(Fraction(seconds) * 10**9)

    def _deadline_ns(self) -> int | None:
        seconds = self.asked.get(("deadline", None))
        return None if seconds is None or math.isinf(seconds) else round(Fraction(seconds) * 10**9)

    def _loads(self) -> Iterator[tuple[int, int]]:
        for (op, host), value in self.asked.items():
            if op == "get_load":
                yield int(host), int(value[0])
            if op == "estimate_rif":
                raise NoReplayError("it asked how many calls all hosts have in flight")

    def _backends(self) -> int:
        hosts = [int(host) + 1 for (op, host) in self.asked if op == "get_load"]
        return max([len(self.asked.get(("get_backends", None), ())), *hosts, 0])

    # --- state ---

    def _state(self) -> Iterator[tuple[tuple[str, str], Value]]:
        clock = self.asked.get(("now", None))
        if clock is None:
            clock = next((it[1] for (op, _), it in self.asked.items() if op == "get_load"), None)
        later = CLOCK_START_NS - int(clock) % 2**64 if clock is not None else 0
        names = dict.fromkeys([*self.state, *self.entries])
        known = {it.name: it for it in self.element.state}
        for name in names:
            if name not in known:
                raise NoReplayError(f"{self.element.name} has no variable {name}: another version sent it")
            yield (self.element.name, name), self._variable(known[name], later)

    def _variable(self, variable: StateVariable, later: int) -> Value:
        name, type_ = variable.name, variable.type
        value = typed(self.state[name], type_, later) if name in self.state else None
        if isinstance(type_, VecType) and self.added.get(name):
            if value is not None and len(value) >= variable.capacity:
                raise NoReplayError(f"{name} was full, and what it let go is not known")
            value = value[: -self.added[name]] if value is not None else []
        if not isinstance(type_, MapType):
            return value
        entries = self.entries.get(name, {})
        if variable.state_class is StateClass.RPC_SCOPED:
            return {self._call(): typed(it[0], type_.value, later) for it in entries.values() if it}
        found: dict[Any, Value] = {}
        for key, it in entries.items():
            if it:
                found[typed(key, type_.key, later)] = typed(it[0], type_.value, later)
        none = {typed(key, type_.key, later) for key, it in entries.items() if not it}
        rest = {key: it for key, it in (value or {}).items() if key not in found and key not in none}
        return {**found, **rest}
