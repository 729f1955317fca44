"""What a behaviour file is tried on: a fresh instance of a chain, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from appnet.application.proto import ProtoFile
from appnet.behaviour.document import Case, Fields, Given, Passes, Refuses, Replies, Step, StepOutcome
from appnet.behaviour.messages import encode
from appnet.interpret import Answered, ChainInstance, Environment, Refused, Rpc, Store, Watcher, dump
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value, absent_value, same_value
from appnet.language.messages import MessageSchema, MethodSignature

REQUEST_HEADERS = {"content-type": b"application/grpc", "te": b"trailers"}
RESPONSE_HEADERS = {"content-type": b"application/grpc"}


class Subject(Protocol):
    """Instances of a chain under test; time stands still between steps."""

    def run(self, step: Step) -> StepOutcome | None:
        """Lets the step's time pass and its event happen, once; None where nothing can come of it."""

    def state(self, instance: int) -> dict[str, str]:
        """State of an instance by ``ELEMENT.VARIABLE``, as `appnet.interpret.dump` writes it."""

    def records(self, instance: int) -> dict[str, list[Value]]:
        """All that it has recorded since it began, by ``ELEMENT.VARIABLE``."""


def changed(before: Mapping[str, Value], after: Mapping[str, Value], schema: MessageSchema) -> Fields:
    """The fields of ``after`` that differ from those of ``before``; an absent one has its default."""
    return {
        path: after.get(path, absent_value(it))
        for path, it in schema.fields.items()
        if not same_value(after.get(path, absent_value(it)), before.get(path, absent_value(it)))
    }


def set_headers(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, bytes]:
    """The headers that were set, and to what."""
    return {key: value for key, value in after.items() if before.get(key) != value}


def parse_dump(text: str) -> dict[str, str]:
    """The lines of a dump by ``ELEMENT.VARIABLE``."""
    return dict(line.split(" = ", 1) for line in text.splitlines())


class InterpreterSubject(Subject):
    """The reference meaning."""

    def __init__(self, case: Case, method: MethodSignature, proto: ProtoFile, watcher: Watcher | None = None) -> None:
        self._method = method
        self._proto = proto
        self._now_ns = CLOCK_START_NS
        self._case, self._watcher, self._store = case, watcher, Store()
        self._met = False  # any call
        self._chains = [self._begun(number) for number in range(case.instances)]
        self._calls: dict[str, tuple[Rpc, ChainInstance]] = {}

    def _begun(self, number: int) -> ChainInstance:
        environment = Environment(lambda: self._now_ns, self._case.seed + number, self._case.backends)
        given = self._case.given
        if given is not None and given.wall_ns is not None:
            environment.wall_ahead_ns = given.wall_ns - CLOCK_START_NS
        chain = ChainInstance(self._case.elements, environment, self._watcher, store=self._store, number=number)
        if given is not None:
            _give(given, chain)
        return chain

    def _rpc(self, step: Step) -> Rpc:
        """The call of a request, or of a response that comes first."""
        rpc = Rpc(self._method, dict(step.fields), {**REQUEST_HEADERS, **step.metadata})
        given = self._case.given
        if given is not None and not self._met:
            rpc.rpc_id, rpc.authority, rpc.peer = given.call, given.authority, given.peer
            if given.deadline_ns is not None:
                rpc.deadline_ns = self._now_ns + given.deadline_ns
            if given.began:
                rpc.opened = len(self._case.elements)
            rpc.response_trailers = dict(given.trailers)
        self._met = True
        return rpc

    def run(self, step: Step) -> StepOutcome | None:
        """Lets the interpreter judge the step's message."""
        self._now_ns += step.after_ns
        match step.kind:
            case "request":
                return self._request(step)
            case "response":
                return self._response(step)
            case "end":
                rpc, chain = self._calls.pop(step.call)
                chain.end(rpc)
            case "store":
                self._store.away = step.away
            case "merge":
                for number in step.of * 2:  # so that the first gets what the last has
                    self._chains[number].merge()
            case "restart":
                self._restart(step.of)
        return None

    def _restart(self, numbers: Sequence[int]) -> None:
        """The instances end at once, as if killed, with their calls; then they begin anew."""
        for it in numbers:
            self._store.leave(it)
        ended = [self._chains[it] for it in numbers]
        self._calls = {name: it for name, it in self._calls.items() if it[1] not in ended}
        for it in numbers:
            self._chains[it] = self._begun(it)

    def _request(self, step: Step) -> StepOutcome:
        size, rpc = self._size(step, self._method.request), self._rpc(step)
        rpc.size = size
        chain = self._chains[step.instance]
        self._calls[step.call] = rpc, chain
        outcome = chain.request(rpc)
        if isinstance(outcome, Answered):
            return Replies(changed({}, outcome.fields, self._method.response))
        if isinstance(outcome, Refused):
            return Refuses(outcome.code, outcome.text)
        headers = set_headers({**REQUEST_HEADERS, **step.metadata}, rpc.metadata)
        return Passes(changed(step.fields, rpc.message, self._method.request), headers, rpc.destination, rpc.wait_ms)

    def _response(self, step: Step) -> StepOutcome:
        size = self._size(step, self._method.response)
        if step.call not in self._calls:  # the case begins with a response, so it says what came before
            rpc = self._rpc(step)
            rpc.begun = len(self._case.elements)
            self._calls[step.call] = rpc, self._chains[step.instance]
        rpc, chain = self._calls.pop(step.call)
        rpc.size = size
        rpc.message, rpc.response_metadata = dict(step.fields), {**RESPONSE_HEADERS, **step.metadata}
        outcome = chain.response(rpc, step.status)
        if isinstance(outcome, Refused):
            return Refuses(outcome.code, outcome.text)
        headers = set_headers({**RESPONSE_HEADERS, **step.metadata}, rpc.response_metadata)
        return Passes(changed(step.fields, rpc.message, self._method.response), headers)

    def _size(self, step: Step, schema: MessageSchema) -> int:
        if self._case.given is not None and self._case.given.size is not None and not self._met:
            return self._case.given.size
        return 0 if step.status else len(encode(step.fields, schema, self._proto))

    def state(self, instance: int) -> dict[str, str]:
        """The instance's state now."""
        return parse_dump(dump(self._chains[instance]))

    def records(self, instance: int) -> dict[str, list[Value]]:
        """What the instance has recorded."""
        found: dict[str, list[Value]] = {}
        for stream, item in self._chains[instance].records():
            found.setdefault(stream, []).append(item)
        return found


def _give(given: Given, chain: ChainInstance) -> None:
    """Lets the chain begin with that."""
    for (element, variable), value in given.state.items():
        chain.set_state_of(element, {variable: value})
    chain.load_hosts(given.loads)
    if given.draws:
        chain.draw_from(chain.elements()[0].name, given.draws)
