"""RPCs that a processor captured, as steps of a case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from google.protobuf.message import DecodeError

from appnet.behaviour.document import Behaviour, Case, Fields, Step
from appnet.behaviour.messages import decode
from appnet.behaviour.subject import changed
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Span
from appnet.language.messages import MessageSchema
from appnet.processors.processor import CapturedCall, CapturedMessage


class NothingCapturedError(DiagnosticError):
    """None of the captured RPCs is of the method."""


def captured_case(behaviour: Behaviour, calls: Iterable[CapturedCall]) -> Case:
    """The calls, in order of time, on the chain of the behaviour's first case.

    Raises ``DiagnosticError`` for messages that are not the method's, and `NothingCapturedError`.
    """
    events = [event for call in calls for event in _events(behaviour, call)]
    if not events:
        title = f"no RPC of {behaviour.method.full_name} was captured"
        label, help_ = "its chain has no RPCs", "use the chain of the captured method"
        span = Span.whole(behaviour.source)
        raise NothingCapturedError([Diagnostic("C076", Severity.ERROR, title, span, label, help_)])
    events.sort(key=lambda it: it[0])  # stable: without times, in the order of the files
    steps = []
    before, _ = events[0]
    for at_ns, step in events:
        steps.append(replace(step, after_ns=at_ns - before))
        before = at_ns
    return replace(behaviour.cases[0], name="captured", steps=tuple(steps), checks=())


def _events(behaviour: Behaviour, call: CapturedCall) -> Iterator[tuple[int, Step]]:
    """The request, and the response if there was one, each with the time of its headers."""
    method = behaviour.method
    yield _event(behaviour, call, "request", call.request, method.request)
    if call.response is not None:
        yield _event(behaviour, call, "response", call.response, method.response)


def _event(
    behaviour: Behaviour, call: CapturedCall, kind: str, message: CapturedMessage, schema: MessageSchema
) -> tuple[int, Step]:
    span = Span.whole(call.source)
    fields: Fields = {}
    if not message.status:
        try:
            fields = changed({}, decode(message.message, schema, behaviour.proto), schema)
        except DecodeError as error:
            title, label = f"the {kind} of {call.name} cannot be read", f"its body is not of type {schema.full_name}"
            help_ = "use the method's own .proto"
            raise DiagnosticError([Diagnostic("C076", Severity.ERROR, title, span, label, help_)]) from error
    return message.at_ns, Step(span, kind, call.name, 0, 1, fields, message.metadata, message.status, None)
