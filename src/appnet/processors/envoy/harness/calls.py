"""What the native and the wasm harness share: a compiled chain in the place of a proxy's filter, event by event.

A harness holds and buffers as Envoy does, keeps time, and shows what became of each direction of a call.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

from appnet.language.operations.metadata import HIDDEN_KEYS
from appnet.observe import Refusal, decode_refusals, otlp
from appnet.observe.records import REFUSALS
from appnet.processors.processor import Denied

_REQUEST_HEADERS = {":method": b"POST", ":scheme": b"http", "te": b"trailers", "content-type": b"application/grpc"}
_RESPONSE_HEADERS = {":status": b"200", "content-type": b"application/grpc"}


class Action(IntEnum):
    """``an_action`` of module.h."""

    CONTINUE = 0
    HOLD = 1
    REPLACE = 2
    REPLY = 3
    TAKE = 4
    RESPOND = 5


@dataclass(frozen=True)
class DeliveredBody:
    """The message went on, as this gRPC body and with these headers and trailers (those of HTTP and gRPC left out)."""

    body: bytes
    metadata: dict[str, bytes]
    trailers: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class SubstitutedBody:
    """The caller got this gRPC body, which the chain made, with these headers and trailers of elements."""

    body: bytes
    metadata: dict[str, bytes] = field(default_factory=dict)
    trailers: dict[str, bytes] = field(default_factory=dict)


BodyJudgement = DeliveredBody | Denied | SubstitutedBody


@dataclass
class Direction:
    """One direction of a call: what is held, and what went on."""

    headers: dict[str, bytes] = field(default_factory=dict)
    trailers: dict[str, bytes] = field(default_factory=dict)
    held: list[bytes] = field(default_factory=list)
    holding: bool = False
    passed: bytes = b""


class CallUnderTest(ABC):
    """One call. Events may be given one by one, or a whole direction at a time."""

    def __init__(self) -> None:
        self.request = Direction()
        self.response = Direction()
        self.reply: Denied | SubstitutedBody | None = None
        self._begun = False
        self.peer = b""

    # --- one event; what the module answered ---

    def request_headers(self, headers: Mapping[str, bytes], end: bool = False) -> Action:
        """The request's headers, which ``end`` says are all of it."""
        self.request.headers = dict(headers)
        return self._note(self.request, self._headers(self.request, end))

    def request_body(self, chunk: bytes, end: bool = False) -> Action:
        """Bytes of the request, in the order in which they arrive."""
        return self._body_event(self.request, chunk, end)

    def request_trailers(self) -> Action:
        """The end of the request, where its body did not end it."""
        return self._note(self.request, self._trailers(self.request))

    def response_headers(self, headers: Mapping[str, bytes], end: bool = False) -> Action:
        """The response's headers, which ``end`` says are all of it."""
        self.response.headers = dict(headers)
        return self._note(self.response, self._headers(self.response, end))

    def response_body(self, chunk: bytes, end: bool = False) -> Action:
        """Bytes of the response, in the order in which they arrive."""
        return self._body_event(self.response, chunk, end)

    def response_trailers(self, trailers: Mapping[str, bytes]) -> Action:
        """The end of the response, with the status of the call."""
        self.response.trailers = dict(trailers)
        return self._note(self.response, self._trailers(self.response))

    @abstractmethod
    def end(self) -> None:
        """The call is over, or cut off."""

    # --- a whole direction ---

    def begin_request(
        self, path: str, metadata: Mapping[str, bytes], authority: bytes | None = None
    ) -> Denied | SubstitutedBody | None:
        """The headers of a request, with a message to come by `run_request`; how the chain answers, if it does."""
        self._begin(path, metadata, authority, end=False)
        reply, self.reply = self.reply, None
        return reply

    def _begin(self, path: str, metadata: Mapping[str, bytes], authority: bytes | None, *, end: bool) -> Action:
        self._begun = True
        let_in = {key: value for key, value in metadata.items() if key not in HIDDEN_KEYS}
        named = {} if authority is None else {":authority": authority}
        return self.request_headers({":path": path.encode(), **_REQUEST_HEADERS, **named, **let_in}, end=end)

    def run_request(
        self, path: str, metadata: Mapping[str, bytes], chunks: Sequence[bytes], authority: bytes | None = None
    ) -> BodyJudgement:
        """A request of these body chunks, the last of which ends it; without any, its headers do.

        It comes as a listener lets it in: without the headers that are not a caller's.
        """
        headers = {":path": path.encode(), **_REQUEST_HEADERS}
        if authority is not None:
            headers[":authority"] = authority
        actions = [] if self._begun else [self._begin(path, metadata, authority, end=not chunks)]
        for number, chunk in enumerate(chunks, 1):
            if self.reply is None:
                actions.append(self.request_body(chunk, end=number == len(chunks)))
        return self._outcome(self.request, headers, actions)

    def run_response(
        self,
        metadata: Mapping[str, bytes],
        chunks: Sequence[bytes],
        status: int,
        trailers: Mapping[str, bytes] = MappingProxyType({}),
    ) -> BodyJudgement:
        """A response of these body chunks and then trailers; an error without any chunk is all in its headers."""
        grpc_status = {"grpc-status": str(status).encode()}
        if status and not chunks:
            headers = {**_RESPONSE_HEADERS, **grpc_status}
            actions = [self.response_headers({**headers, **metadata}, end=True)]
            return self._outcome(self.response, headers, actions)
        actions = [self.response_headers({**_RESPONSE_HEADERS, **metadata})]
        for chunk in chunks:
            if self.reply is None:
                actions.append(self.response_body(chunk))
        if self.reply is None:
            actions.append(self.response_trailers({**grpc_status, **trailers}))
        return self._outcome(self.response, _RESPONSE_HEADERS, actions)

    # --- for the harnesses ---

    @abstractmethod
    def _headers(self, direction: Direction, end: bool) -> Action:
        """Reports headers."""

    @abstractmethod
    def _body(self, direction: Direction, chunks: list[bytes], end: bool) -> Action:
        """Reports that these are the bytes held so far and, as the last chunk, what arrived."""

    @abstractmethod
    def _trailers(self, direction: Direction) -> Action:
        """Reports trailers."""

    @abstractmethod
    def _replacement(self) -> bytes:
        """The body that a REPLACE puts in the place of what is held."""

    def _substitute(self) -> SubstitutedBody:
        """The answer that a RESPOND gives."""
        return SubstitutedBody(self._replacement())

    @abstractmethod
    def _denial(self) -> Denied:
        """The status that a REPLY gives."""

    def _body_event(self, direction: Direction, chunk: bytes, end: bool) -> Action:
        held = [*direction.held, chunk]
        action = self._body(direction, held, end)
        direction.held = held
        return self._note(direction, action)

    def _note(self, direction: Direction, action: Action) -> Action:
        direction.holding = action in {Action.HOLD, Action.TAKE}
        if action is Action.CONTINUE:
            direction.passed += b"".join(direction.held)
        elif action is Action.REPLACE:
            direction.passed += self._replacement()
        elif action is Action.REPLY:
            self.reply = self._denial()
        elif action is Action.RESPOND:
            self.reply = self._substitute()
        if action is not Action.HOLD:
            direction.held = []
        return action

    def _outcome(self, direction: Direction, own: Mapping[str, bytes], actions: list[Action]) -> BodyJudgement:
        if self.reply is not None:
            reply, self.reply = self.reply, None
            return reply
        assert not direction.holding, f"still held at the end: {actions}"
        metadata = {key: value for key, value in direction.headers.items() if key not in own}
        trailers = {key: value for key, value in direction.trailers.items() if key != "grpc-status"}
        return DeliveredBody(direction.passed, metadata, trailers)


class Harness(ABC):
    """A compiled chain, made into one instance. ``now_ns`` is its clock and may be set at any time."""

    now_ns: int

    @cached_property
    def refusals(self) -> list[Refusal]:
        """What the chain has told of refusals, as far as `records` has fetched it."""
        return []

    @abstractmethod
    def call(self) -> CallUnderTest:
        """A new call."""

    @abstractmethod
    def state_dump(self) -> str:
        """All state as text."""

    @abstractmethod
    def take_telemetry(self) -> list[bytes]:
        """The encoded ExportLogsServiceRequests that the chain has for its collector."""

    def records(self) -> list[tuple[str, Any]]:
        """What was recorded since the last time: ("ELEMENT.VARIABLE", value); pairs are tuples."""
        records: list[tuple[str, Any]] = []
        for batch in self.take_telemetry():
            self.refusals += decode_refusals(batch)
            for resource_logs in otlp.ExportLogsServiceRequest.FromString(batch).resource_logs:
                for scope_logs in resource_logs.scope_logs:
                    scope = scope_logs.scope.name
                    if scope != REFUSALS:
                        records += [(scope, _plain(record.body)) for record in scope_logs.log_records]
        return records


def encode_options(seed: int, max_message: int, backend_count: int, resource: bytes = b"") -> bytes:
    """What an instance is told, as options.h has it."""
    return struct.pack("<IQIIII", 2, seed, max_message, backend_count, 0, len(resource)) + resource


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_plain(item) for item in value.array_value.values)
    return getattr(value, kind)
