"""Chains compiled for a processor, and driven without it, as subjects of behaviour files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from appnet.behaviour.document import Behaviour, Case, Passes, Refuses, Replies, Step, StepOutcome
from appnet.behaviour.messages import decode, encode
from appnet.behaviour.subject import Subject, changed, parse_dump, set_headers
from appnet.codegen.c.printer import ChainSource, print_by_content
from appnet.interpret.dump import value_text
from appnet.interpret.merging import shifted
from appnet.interpret.rpc import WALL_AHEAD_NS
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value, wrap_uint
from appnet.ir.needs import Need
from appnet.ir.sharing import shared_state, shares
from appnet.language.messages import MessageSchema
from appnet.language.types import UINT, MapType, PairType, Type, VecType
from appnet.processors.processor import (
    Delivered,
    Denied,
    Driver,
    Judgement,
    Processor,
    Sharer,
    SharesWhenDriven,
    SharingDriver,
    Substituted,
)
from appnet.state.asking import OwnStore


class DrivenSubject(Subject):
    """The case's chain as an artifact of the processor's target.

    Its instances share state in a real store, where the target gives that and the case is about it.

    Raises `InternalError` where it does not compile.
    """

    def __init__(self, behaviour: Behaviour, case: Case, processor: Processor, target: str) -> None:
        self._method, self._proto = behaviour.method, behaviour.proto
        code = print_by_content(ChainSource("behaviour", "", [(behaviour.method, case.elements)]), target)
        binary = processor.build(code, target)

        self._store = OwnStore() if needs_store(case, processor, target) else None

        def begun(number: int) -> Driver:
            options = {"seed": case.seed + number, "hosts": case.backends, "now_ns": self._now_ns}
            if self._store is None:
                return processor.drive(binary, target, **options)
            assert isinstance(processor, SharesWhenDriven)
            sharer = Sharer(str(number).encode(), self._store.ask)
            return processor.drive_sharing(binary, target, sharer, **options)

        self._now_ns, self._begun = CLOCK_START_NS, begun
        self._drivers = [begun(number) for number in range(case.instances)]
        self._types = {
            f"{element.name}.{variable.name}": variable.type for element in case.elements for variable in element.state
        }
        self._records: list[dict[str, list[Value]]] = [{} for _ in self._drivers]
        self._in_part = [
            (element.name, name, self._types[f"{element.name}.{name}"])
            for element in case.elements
            for name, it in shares(element).items()
            if it.part and Need.SHARED_STATE in processor.targets[target].alone
        ]
        self._met = [self._entries() for _ in self._drivers]

    def run(self, step: Step) -> StepOutcome | None:
        """Lets the artifact judge the step's message."""
        outcome = self._run(step)
        for it in step.of if step.kind == "restart" else [step.instance]:
            self._met[it] = self._entries()
        return outcome

    def _run(self, step: Step) -> StepOutcome | None:
        self._now_ns += step.after_ns
        if step.kind == "restart":
            self._restart(step.of)
        driver = self._drivers[step.instance]
        driver.now_ns = self._now_ns
        match step.kind:
            case "request":
                message = encode(step.fields, self._method.request, self._proto)
                got = driver.request(step.call, self._method.full_name, step.metadata, message)
                return self._outcome(step, got, self._method.request)
            case "response":
                message = b"" if step.status else encode(step.fields, self._method.response, self._proto)
                got = driver.response(step.call, step.metadata, message, step.status)
                return self._outcome(step, got, self._method.response)
            case "end":
                driver.end(step.call)
            case "merge":
                for it in self._sharing(step.of * 2):  # so that the first gets what the last has
                    it.now_ns = self._now_ns
                    it.merge()
            case "store" if self._store is not None:
                self._store.away = step.away
                for it in self._sharing(range(len(self._drivers))):
                    it.now_ns = self._now_ns
                    it.settle()
        return None

    def _restart(self, numbers: Sequence[int]) -> None:
        for driver in self._sharing(numbers):
            driver.leave()
        for it in numbers:
            self._drivers[it], self._records[it] = self._begun(it), {}

    def _sharing(self, numbers: Iterable[int]) -> list[SharingDriver]:
        """Those instances, where they share state."""
        return [cast("SharingDriver", self._drivers[it]) for it in numbers] if self._store is not None else []

    def _outcome(self, step: Step, got: Judgement, schema: MessageSchema) -> StepOutcome:
        match got:
            case Denied(code=code, text=text):
                return Refuses(code, text)
            case Substituted(message=message):
                return Replies(changed({}, decode(message, self._method.response, self._proto), self._method.response))
            case Delivered(message=message, metadata=metadata, host=host, wait_ms=wait_ms):
                fields = {} if step.status else changed(step.fields, decode(message, schema, self._proto), schema)
                return Passes(fields, set_headers(step.metadata, metadata), host, wait_ms)

    def state(self, instance: int) -> dict[str, str]:
        """The instance's state now; of a Map that it knows in part, all that there was as it last judged."""
        return parse_dump(self._drivers[instance].state()) | self._met[instance]

    def _entries(self) -> dict[str, str]:
        """What the store has of Maps that instances know in part, as they dump it."""
        found: dict[str, str] = {}
        if self._store is None or self._store.away:
            return found
        for element, name, type_ in self._in_part:
            assert isinstance(type_, MapType)
            entries = self._store.entries(element, name, type_)
            found[f"{element}.{name}"] = value_text(shifted(entries, type_, -WALL_AHEAD_NS), type_)
        return found

    def records(self, instance: int) -> dict[str, list[Value]]:
        """What the instance has recorded."""
        records = self._records[instance]
        for stream, item in self._drivers[instance].records():
            if stream not in self._types:
                continue  # the runtime's own, such as "appnet.evicted"
            vec = self._types[stream]
            assert isinstance(vec, VecType)
            records.setdefault(stream, []).append(_from_telemetry(item, vec.item))
        return records


def needs_store(case: Case, processor: Processor, target: str) -> bool:
    """Whether its instances need a store on the target."""
    given = processor.targets[target].alone
    asked = (one for it in case.elements for one in shared_state(it))
    return case.tries_sharing and any(it.need in given for it in asked)


def _from_telemetry(item: Any, type_: Type) -> Value:
    """The value whose form in an OTLP record is ``item``."""
    match type_:
        case PairType(first=first, second=second):
            return (_from_telemetry(item[0], first), _from_telemetry(item[1], second))
        case VecType(item=inner):
            return [_from_telemetry(it, inner) for it in item]
    if type_ == UINT:
        return wrap_uint(item)
    return item.encode() if isinstance(item, str) else item
