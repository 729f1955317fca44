"""Chains compiled and driven without a proxy, as subjects of behaviour files."""

from __future__ import annotations

from typing import Any

from appnet.behaviour.document import Behaviour, Case, Outcome, Passes, Refuses, Replies, Step
from appnet.behaviour.messages import FRAME_SIZE, decode, encode, frame
from appnet.behaviour.subject import Subject, changed, parse_dump, set_headers
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value, wrap_uint
from appnet.language.messages import MessageSchema
from appnet.language.types import UINT, PairType, Type, VecType
from appnet.processors.envoy.build import Target, build
from appnet.processors.envoy.harness import native as native_harness
from appnet.processors.envoy.harness import wasm as wasm_harness
from appnet.processors.envoy.harness.calls import CallUnderTest, Harness, Passed, Replied, Responded
from appnet.processors.envoy.headers import read

_HARNESSES = {Target.NATIVE: native_harness.ModuleUnderTest, Target.WASM: wasm_harness.ModuleUnderTest}


class ModuleSubject(Subject):
    """A module of the case's chain, made for the target.

    Raises `InternalError` where it does not compile.
    """

    def __init__(self, behaviour: Behaviour, case: Case, target: Target) -> None:
        self._method = behaviour.method
        self._proto = behaviour.proto
        source = print_chain(ChainSource("behaviour", "1", [(behaviour.method, case.elements)]))
        self._module: Harness = _HARNESSES[target](
            build(source, target), seed=case.seed, backend_count=case.backends, now_ns=CLOCK_START_NS
        )
        self._types = {
            f"{element.name}.{variable.name}": variable.type for element in case.elements for variable in element.state
        }
        self._calls: dict[str, CallUnderTest] = {}
        self._records: dict[str, list[Value]] = {}

    def run(self, step: Step) -> Outcome | None:
        """Lets the module judge the step's message."""
        self._module.now_ns += step.after_ns
        if step.kind == "end":
            self._calls.pop(step.call).end()
            return None
        outcome = self._request(step) if step.kind == "request" else self._response(step)
        if step.kind == "response" or isinstance(outcome, Refuses | Replies):
            self._calls.pop(step.call).end()
        return outcome

    def _request(self, step: Step) -> Outcome:
        call = self._calls[step.call] = self._module.call()
        body = frame(encode(step.fields, self._method.request, self._proto))
        return self._outcome(
            step, call.run_request(self._method.full_name, step.metadata, [body]), self._method.request
        )

    def _response(self, step: Step) -> Outcome:
        chunks = [] if step.status else [frame(encode(step.fields, self._method.response, self._proto))]
        got = self._calls[step.call].run_response(step.metadata, chunks, step.status)
        return self._outcome(step, got, self._method.response)

    def _outcome(self, step: Step, got: Passed | Replied | Responded, schema: MessageSchema) -> Outcome:
        if isinstance(got, Replied):
            return Refuses(got.code, got.text)
        if isinstance(got, Responded):
            fields = decode(got.body[FRAME_SIZE:], self._method.response, self._proto)
            return Replies(changed({}, fields, self._method.response))
        fields = changed(step.fields, decode(got.body[FRAME_SIZE:], schema, self._proto), schema) if got.body else {}
        return Passes(fields, *read(set_headers(step.metadata, got.metadata)))

    def state(self) -> dict[str, str]:
        """The instance's state now."""
        return parse_dump(self._module.state_dump())

    def records(self) -> dict[str, list[Value]]:
        """What the instance has recorded."""
        for stream, item in self._module.records():
            if stream not in self._types:
                continue  # the runtime's own, such as "appnet.evicted"
            vec = self._types[stream]
            assert isinstance(vec, VecType)
            self._records.setdefault(stream, []).append(_from_telemetry(item, vec.item))
        return self._records


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
