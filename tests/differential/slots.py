"""A host that has decoded messages, as one more subject: what comes as gRPC frames it reads, judges by slots, and writes.

It stands where a gRPC library would: frames are taken apart before, and put together after the chain.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from appnet.codegen.c import slots
from appnet.codegen.c.slots import CallMetadata, Instance, Judgement, Numbers, SlotChain, Verdict
from appnet.interpret.deadlines import timeout_text
from appnet.interpret.rpc import WALL_AHEAD_NS
from appnet.interpret.values import absent_value
from appnet.language.messages import MessageSchema
from appnet.language.operations.metadata import DELAY, HOST
from appnet.processors.envoy.harness.calls import Action, CallUnderTest, Direction, Harness, SubstitutedBody
from appnet.processors.envoy.headers import TIMEOUT
from appnet.processors.processor import Denied
from tests.support.raw_grpc import frame
from tests.support.sample import SAMPLE
from tests.support.wire import fields_of, parse, put, take_away

_PATHS = {it.numbers: it.path for it in SAMPLE.request.all_fields()}
_HEADER = 5
AT_REQUEST, AT_RESPONSE = "request", "response"


class SlotsUnderTest(Harness):
    """One instance of a native module, used through its ``appnet_chain``."""

    def __init__(self, module: bytes, *, seed: int = 1, backend_count: int = 0, now_ns: int = 1_000_000_000) -> None:
        self.now_ns = now_ns
        self.chain = SlotChain(module)
        self.instance = Instance(
            self.chain,
            now_ns=lambda: self.now_ns,
            wall_ns=lambda: self.now_ns + WALL_AHEAD_NS,
            seed=seed,
            backend_count=backend_count,
        )

    def call(self) -> _SlotCall:
        return _SlotCall(self.instance, lambda: self.now_ns)

    def state_dump(self) -> str:
        return self.instance.state_dump()

    def take_telemetry(self) -> list[bytes]:
        batch = self.instance.take_telemetry()
        return [batch] if batch else []


class _Call(slots.SlotCall):
    """What is lent for an event is spoilt after it, so that nobody can go on using it."""

    def _forget(self, lent: list[ctypes.Array[ctypes.c_char]]) -> None:
        for it in lent:
            ctypes.memset(it, 0xDD, len(it))
        super()._forget(lent)


class _SlotCall(CallUnderTest):
    def __init__(self, instance: Instance, now_ns: Callable[[], int]) -> None:
        super().__init__()
        self._now_ns = now_ns
        self._answer = SubstitutedBody(b"")
        self._instance = instance
        self._call: _Call | None = None
        self._response_headers: dict[str, bytes] = {}
        self._trailers_now: dict[str, bytes] = {}
        self._come = {AT_REQUEST: b"", AT_RESPONSE: b""}  # bytes of messages that are not judged yet
        self._asked = False
        self._told_deadline_ns: int | None = None
        self._instead = b""
        self._denied = Denied(0, b"")

    def end(self) -> None:
        if self._call is not None:
            self._call.end()

    def _headers(self, direction: Direction, end: bool) -> Action:
        if direction is self.request:
            method = self._instance.chain.methods[direction.headers[":path"].decode()]
            self._metadata = CallMetadata((direction.headers, self._response_headers, self._trailers_now), self.peer)
            self._call = _Call(self._instance, method, self._metadata)
            return self._opened(self._call.open())
        self._response_headers.update(direction.headers)
        direction.headers = self._response_headers
        if end:
            self._metadata.maps = (self.request.headers, direction.headers, direction.headers)
        return self._ended(direction.headers) if end else Action.HOLD

    def _body(self, direction: Direction, chunks: list[bytes], end: bool) -> Action:
        assert self._call
        self._come[self._at(direction)] += b"".join(chunks)
        if self._side(direction).streams:
            action = self._messages(direction)
            over = direction is self.request and end and action is Action.REPLACE
            return self._without_message() if over and not self._asked else action
        return self._messages(direction) if end else Action.TAKE

    def _trailers(self, direction: Direction) -> Action:
        self._trailers_now.update(direction.trailers)
        direction.trailers = self._trailers_now
        if self._side(direction).streams or direction.trailers["grpc-status"] != b"0":
            return self._ended(direction.trailers)
        return self._messages(direction)

    def _replacement(self) -> bytes:
        return self._instead

    def _substitute(self) -> SubstitutedBody:
        return self._answer

    def _denial(self) -> Denied:
        return self._denied

    # --- what a gRPC library would do ---

    def _at(self, direction: Direction) -> str:
        return AT_REQUEST if direction is self.request else AT_RESPONSE

    def _side(self, direction: Direction) -> slots.SlotSide:
        assert self._call
        return self._call.method.request if direction is self.request else self._call.method.response

    def _without_message(self) -> Action:
        """The request ended without a message: it is judged all the same, and nothing goes on."""
        assert self._call
        return self._ended_by(self._call.request({})) or Action.REPLACE

    def _messages(self, direction: Direction) -> Action:
        """Judges the messages that are whole; what goes on of them is the replacement."""
        at, gone = self._at(direction), b""
        while len(come := self._come[at]) >= _HEADER and len(come) - _HEADER >= int.from_bytes(come[1:_HEADER], "big"):
            size = _HEADER + int.from_bytes(come[1:_HEADER], "big")
            self._come[at] = come[size:]
            self._asked |= direction is self.request
            action = self._judged(direction, come[_HEADER:size])
            if action is not Action.REPLACE:
                return action
            gone += self._instead
        self._instead = gone
        return Action.REPLACE

    def _ended_by(self, judgement: Judgement) -> Action | None:
        """What the caller gets at once; None where the call goes on."""
        if judgement.verdict is Verdict.REFUSE:
            self._denied = Denied(judgement.code, judgement.text, judgement.metadata)
            return Action.REPLY
        if judgement.verdict is Verdict.ANSWER:
            self._instead = frame(_written(b"", SAMPLE.response.full_name, judgement))
            self._answer = SubstitutedBody(self._instead, dict(judgement.metadata), dict(judgement.trailers))
            return Action.RESPOND
        return None

    def _opened(self, judgement: Judgement) -> Action:
        ended = self._ended_by(judgement)
        if ended is not None:
            return ended
        assert self._call
        if not self._call.method.request.holds:
            self._mark()
        return Action.HOLD

    def _judged(self, direction: Direction, body: bytes) -> Action:
        assert self._call
        schema = SAMPLE.request if direction is self.request else SAMPLE.response
        message = _decoded(body, schema) if self._side(direction).needs_message else {}
        judge = self._call.request if direction is self.request else self._call.response
        judgement = judge(message, len(body))
        ended = self._ended_by(judgement)
        if ended is not None:
            return ended
        if direction is self.request:
            self._mark()
        changed = judgement.written or judgement.cleared
        self._instead = frame(_written(body, schema.full_name, judgement) if changed else body)
        return Action.REPLACE

    def _mark(self) -> None:
        """Shows what a library would do with the request as Envoy is told it."""
        assert self._call
        if self._call.destination is not None:
            self.request.headers[HOST] = b"%d" % self._call.destination
        if self._call.deadline_ns is not None and self._call.deadline_ns != self._told_deadline_ns:
            self._told_deadline_ns = self._call.deadline_ns
            left = max(self._call.deadline_ns - self._now_ns(), 0)
            self.request.headers[TIMEOUT] = timeout_text(left)
        if self._call.wait_ms:
            self.request.headers[DELAY] = b"%d" % self._call.wait_ms

    def _ended(self, headers: dict[str, bytes]) -> Action:
        assert self._call
        return self._ended_by(self._call.end_response(int(headers["grpc-status"]))) or Action.CONTINUE


def _decoded(body: bytes, schema: MessageSchema) -> dict[Numbers, Any]:
    """The fields that the message has; one that reads as if it were absent is left out."""
    used = ((schema.field(path), value) for path, value in fields_of(body, schema.full_name).items())
    return {
        it.numbers: value
        for it, value in used
        if it.presence or repr(value) != repr(absent_value(it))  # -0.0 is no 0.0
    }


def _written(body: bytes, full_name: str, judgement: Judgement) -> bytes:
    message = parse(body, full_name)
    for numbers in judgement.cleared:
        take_away(message, _PATHS[numbers])
    for numbers, value in judgement.written.items():
        put(message, _PATHS[numbers], value)
    return message.SerializeToString()
