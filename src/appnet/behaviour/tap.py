"""RPCs as Envoy's tap filter captures them (``envoy.data.tap.v3.TraceWrapper`` as JSON), as steps of a case."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from envoy.data.tap.v3.wrapper_pb2 import TraceWrapper
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from appnet.behaviour.document import Behaviour, Case, Fields, Step
from appnet.behaviour.messages import FRAME_SIZE, decode
from appnet.behaviour.subject import changed
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, Span, UnreadableError
from appnet.diagnostics.source import Source, base_name
from appnet.language.messages import MessageSchema

_FORMAT = "JSON_BODY_AS_BYTES"
_UNKNOWN = 2


@dataclass(frozen=True)
class _Event:
    """``at_ns``: when its headers came; 0 where the filter did not record it."""

    at_ns: int
    step: Step


def captured_case(behaviour: Behaviour, files: Iterable[Source]) -> Case:
    """The RPCs of the behaviour's method in the captures, in order of time, on the chain of its first case.

    Raises ``DiagnosticError`` for files that are no captures, for messages that cannot be read, and where none of
    the captured RPCs is of the method.
    """
    events: list[_Event] = []
    for file in files:
        for number, trace in enumerate(_traces(file), 1):
            events += _Reader(behaviour, file, f"{base_name(file)}#{number}").events(trace)
    if not events:
        title = f"no RPC of {behaviour.method.full_name} was captured"
        help_ = "name the chain of the method that was called"
        raise _wrong(behaviour.source, title, "its chain has nothing to judge", help_)
    events.sort(key=lambda it: it.at_ns)  # stable: without times, in the order of the files
    steps = []
    before = events[0].at_ns
    for event in events:
        steps.append(replace(event.step, after_ns=event.at_ns - before))
        before = event.at_ns
    return replace(behaviour.cases[0], name="captured", steps=tuple(steps), checks=())


def _traces(file: Source) -> Iterator[Any]:
    """The traces in a file: one object, or one after another as the admin endpoint streams them."""
    reason = "it holds no buffered trace of HTTP"
    try:
        found = [json_format.ParseDict(it, TraceWrapper()) for it in _objects(file.text())]
        if found and all(it.HasField("http_buffered_trace") for it in found):
            return (it.http_buffered_trace for it in found)
    except UnreadableError as error:
        reason = error.reason
    except (ValueError, json_format.ParseError) as error:
        reason = str(error).splitlines()[0]
    help_ = f"capture with `format: {_FORMAT}` and without `streaming` in output_config"
    raise _wrong(file, f"{base_name(file)} is no capture of Envoy's tap filter", reason, help_)


def _objects(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        found, end = decoder.raw_decode(text)
        yield found
        text = text[end:].lstrip()


@dataclass(frozen=True)
class _Reader:
    """Reads the captured call ``call``."""

    behaviour: Behaviour
    file: Source
    call: str

    def events(self, trace: Any) -> Iterator[_Event]:
        """The request, and the response if there was one; none of another method."""
        method = self.behaviour.method
        if _headers(trace.request.headers).get(":path") != method.full_name:
            return
        yield self._event("request", trace.request, method.request, 0)
        if trace.HasField("response"):
            ended = _headers(trace.response.headers) | _headers(trace.response.trailers)
            status = ended.get("grpc-status", "")
            yield self._event(
                "response", trace.response, method.response, int(status) if status.isdigit() else _UNKNOWN
            )

    def _event(self, kind: str, message: Any, schema: MessageSchema, status: int) -> _Event:
        headers = {
            key: value.encode()
            for key, value in _headers(message.headers).items()
            if not key.startswith((":", "grpc-")) and key not in {"content-type", "te"}
        }
        fields = {} if status else self._fields(kind, message.body, schema)
        step = Step(Span.whole(self.file), kind, self.call, 0, 1, fields, headers, status, None)
        return _Event(message.headers_received_time.ToNanoseconds(), step)

    def _fields(self, kind: str, body: Any, schema: MessageSchema) -> Fields:
        data = body.as_bytes
        size = int.from_bytes(data[1:FRAME_SIZE], "big")
        if body.WhichOneof("body_type") == "as_string":
            reason, help_ = "its body was captured as text", f"capture with `format: {_FORMAT}`"
        elif body.truncated:
            reason, help_ = "the capture cut it short", "raise max_buffered_rx_bytes and max_buffered_tx_bytes"
        elif data[:1] != b"\0" or len(data) != FRAME_SIZE + size:
            reason, help_ = "its body is not one uncompressed gRPC message", "leave it out"
        else:
            try:
                return changed({}, decode(data[FRAME_SIZE:], schema, self.behaviour.proto), schema)
            except DecodeError:
                reason, help_ = f"its body is no {schema.full_name}", "name the method's own .proto"
        raise _wrong(self.file, f"the {kind} of {self.call} cannot be read", reason, help_)


def _headers(values: Any) -> dict[str, str]:
    return {it.key: it.value for it in values}


def _wrong(file: Source, title: str, label: str, help_: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("C076", Severity.ERROR, title, Span.whole(file), label, help_)])
