"""What a behaviour file is tried on: a fresh instance of a chain, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from appnet.application.proto import ProtoFile
from appnet.behaviour.document import Case, Fields, Passes, Refuses, Replies, Step, StepOutcome
from appnet.behaviour.messages import encode
from appnet.interpret import Answered, ChainInstance, Environment, Refused, Rpc, Watcher, dump
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value, absent_value, same_value
from appnet.language.messages import MessageSchema, MethodSignature

REQUEST_HEADERS = {"content-type": b"application/grpc", "te": b"trailers"}
RESPONSE_HEADERS = {"content-type": b"application/grpc"}


class Subject(Protocol):
    """An instance of a chain under test; time stands still between steps."""

    def run(self, step: Step) -> StepOutcome | None:
        """Lets the step's time pass and its event happen, once; None at an end."""

    def state(self) -> dict[str, str]:
        """State by ``ELEMENT.VARIABLE``, as `appnet.interpret.dump` writes it."""

    def records(self) -> dict[str, list[Value]]:
        """All that was recorded since the start, by ``ELEMENT.VARIABLE``."""


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
        environment = Environment(lambda: self._now_ns, case.seed, case.backends)
        self._chain = ChainInstance(case.elements, environment, watcher)
        self._calls: dict[str, Rpc] = {}

    def run(self, step: Step) -> StepOutcome | None:
        """Lets the interpreter judge the step's message."""
        self._now_ns += step.after_ns
        match step.kind:
            case "request":
                return self._request(step)
            case "response":
                return self._response(step)
        self._chain.end(self._calls.pop(step.call))
        return None

    def _request(self, step: Step) -> StepOutcome:
        rpc = Rpc(self._method, dict(step.fields), {**REQUEST_HEADERS, **step.metadata})
        rpc.size = self._size(step, self._method.request)
        self._calls[step.call] = rpc
        outcome = self._chain.request(rpc)
        if isinstance(outcome, Answered):
            return Replies(changed({}, outcome.fields, self._method.response))
        if isinstance(outcome, Refused):
            return Refuses(outcome.code, outcome.text)
        headers = set_headers({**REQUEST_HEADERS, **step.metadata}, rpc.metadata)
        return Passes(changed(step.fields, rpc.message, self._method.request), headers, rpc.destination, rpc.wait_ms)

    def _response(self, step: Step) -> StepOutcome:
        rpc = self._calls.pop(step.call)
        rpc.size = self._size(step, self._method.response)
        rpc.message, rpc.response_metadata = dict(step.fields), {**RESPONSE_HEADERS, **step.metadata}
        outcome = self._chain.response(rpc, step.status)
        if isinstance(outcome, Refused):
            return Refuses(outcome.code, outcome.text)
        headers = set_headers({**RESPONSE_HEADERS, **step.metadata}, rpc.response_metadata)
        return Passes(changed(step.fields, rpc.message, self._method.response), headers)

    def _size(self, step: Step, schema: MessageSchema) -> int:
        return 0 if step.status else len(encode(step.fields, schema, self._proto))

    def state(self) -> dict[str, str]:
        """The instance's state now."""
        return parse_dump(dump(self._chain))

    def records(self) -> dict[str, list[Value]]:
        """What the instance has recorded."""
        found: dict[str, list[Value]] = {}
        for stream, item in self._chain.records():
            found.setdefault(stream, []).append(item)
        return found
