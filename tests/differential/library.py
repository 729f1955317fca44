"""The libraries for Go and Python as subjects: what they make of each event of a call, by their own fields, metadata and
calls."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, MutableMapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2

from appnet.codegen.c.slots import Judgement, SlotChain, Verdict
from appnet.grpc.container import MACHINE
from appnet.interpret.rpc import WALL_AHEAD_NS, Repeated, values_of
from appnet.language.operations.metadata import DELAY, HOST
from appnet.processors.envoy.harness.calls import Action, Direction, Harness, SubstitutedBody
from appnet.processors.envoy.headers import TIMEOUT
from appnet.processors.grpc.build import ISOLATED, build_for
from appnet.processors.grpc.container import Container
from tests.differential.compare import Subject
from tests.differential.slots import _SlotCall
from tests.differential.unnamed import with_unnamed, without_unnamed
from tests.grpc.host import PythonProcess
from tests.processors.grpc.go_module import GoProcess
from tests.support.raw_grpc import frame
from tests.support.sample import SAMPLE
from tests.support.wire import message_class

_ids = itertools.count(1)


@cache
def _descriptors() -> bytes:
    file = descriptor_pb2.FileDescriptorProto()
    message_class(SAMPLE.request.full_name).DESCRIPTOR.file.CopyToProto(file)
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


def build_here(code: str) -> bytes:
    """The chain for this machine alone, as others are not asked."""
    return Container({MACHINE: build_for(code, MACHINE)}).pack()


class LibraryUnderTest(Harness):
    """One instance of a chain in a host: ``process``, or one of its own.

    ``scope``: by which state goes on from instance to instance of the process.
    """

    def __init__(
        self,
        module: bytes,
        *,
        seed: int = 1,
        backend_count: int = 0,
        now_ns: int = 1_000_000_000,
        process: Any = None,
        scope: str = "",
    ) -> None:
        self.now_ns = now_ns
        self.sides = _Sides(module)
        self.process = process if process is not None else self.host()
        self._instance = self.process.loaded
        self.process.loaded += 1
        types = (SAMPLE.request.full_name, SAMPLE.response.full_name)
        self.ask(
            Op="load", Code=module, Descriptors=_descriptors(), Seed=seed, Hosts=backend_count, Scope=scope,
            Types=dict.fromkeys(self.sides.methods, types),
        )  # fmt: skip

    def host(self) -> Any:
        """What takes events."""
        raise NotImplementedError

    def ask(self, **event: Any) -> dict[str, Any]:
        """What became of an event now."""
        now, wall = self.now_ns, self.now_ns + WALL_AHEAD_NS
        return self.process.ask(Now=now, Wall=wall, Instance=self._instance, **event)

    def end(self) -> None:
        """The instance is needed no more."""
        self.ask(Op="drop")

    def call(self) -> _LibraryCall:
        return _LibraryCall(self)

    def state_dump(self) -> str:
        found: bytes = self.ask(Op="state")["Data"]
        return found.decode()

    def take_telemetry(self) -> list[bytes]:
        found = self.ask(Op="records")["Data"]
        return [found] if found else []


class GoUnderTest(LibraryUnderTest):
    """In a Go process."""

    def host(self) -> Any:
        return GoProcess()


class IsolatedUnderTest(LibraryUnderTest):
    """In a Go process, in a module of wasm."""

    def host(self) -> Any:
        return GoProcess(isolated=True)


class PythonUnderTest(LibraryUnderTest):
    """In this process."""

    def host(self) -> Any:
        return PythonProcess()


def build_apart(code: str) -> bytes:
    """The chain as a module of wasm, and for this machine, whose tables hosts in Python read."""
    return Container({it: build_for(code, it) for it in (MACHINE, ISOLATED)}).pack()


GO = Subject("slots of Go", build_here, GoUnderTest)
IN_MODULES = Subject("slots of Go, in a module", build_apart, IsolatedUnderTest)
PYTHON = Subject("slots of Python", build_here, PythonUnderTest)


class _Sides:
    """What the chain is, as hosts in Python read it."""

    def __init__(self, module: bytes) -> None:
        self.methods = SlotChain(Container.unpack(module).code[MACHINE]).methods


class _Remote:
    """A call in the host, with the methods of a `SlotCall`."""

    def __init__(self, host: LibraryUnderTest, path: str, metadata: MutableMapping[str, bytes], peer: bytes) -> None:
        self.method = host.sides.methods[path]
        self.destination: int | None = None
        self.deadline_ns: int | None = None
        self.wait_ms = 0
        self._host, self._id, self._metadata = host, next(_ids), metadata
        self.instead: bytes | None = None
        self.begins = self._judged(
            host.ask(Op="call", Call=self._id, Path=path, Peer=peer, Metadata=_values(metadata)), metadata, None
        )

    def request(self, message: bytes | None, size: int = 0) -> Judgement:
        told: dict[str, Any] = {"None": True} if message is None else {"Message": message, "Size": size}
        return self._judged(self._host.ask(Op="request", Call=self._id, **told), self._metadata, None)

    def response(
        self, message: bytes, size: int, metadata: MutableMapping[str, bytes], trailers: MutableMapping[str, bytes]
    ) -> Judgement:
        told = self._host.ask(
            Op="response",
            Call=self._id,
            Message=message,
            Size=size,
            Metadata=_values(metadata),
            Trailers=_values(trailers),
        )
        return self._judged(told, metadata, trailers)

    def end_response(
        self, status: int, metadata: MutableMapping[str, bytes], trailers: MutableMapping[str, bytes]
    ) -> Judgement:
        told = self._host.ask(
            Op="trailers", Call=self._id, Status=status, Metadata=_values(metadata), Trailers=_values(trailers)
        )
        return self._judged(told, metadata, trailers)

    def end(self) -> None:
        self._host.ask(Op="end", Call=self._id)

    def _judged(
        self,
        told: dict[str, Any],
        metadata: MutableMapping[str, bytes],
        trailers: MutableMapping[str, bytes] | None,
    ) -> Judgement:
        verdict = Verdict(told["Verdict"])
        if trailers is None:
            self.destination = told["Destination"] if told["Destination"] >= 0 else None
            self.deadline_ns = told["Deadline"] or None
            self.wait_ms = told["WaitMs"]
        if verdict is Verdict.FORWARD and told["Metadata"]:
            if trailers is not metadata:
                _replace(metadata, told["Metadata"])
            if trailers is not None:
                _replace(trailers, told["Trailers"])
        self.instead = told["Message"] if verdict is Verdict.ANSWER or told["Changed"] else None
        return Judgement(
            verdict, code=told["Code"], text=told["Text"], metadata=_single(told["Own"]),
            trailers=_single(told["OwnTrailers"]),
        )  # fmt: skip


def _values(metadata: Mapping[str, bytes]) -> dict[str, list[bytes]]:
    return {key: list(values_of(value)) for key, value in metadata.items()}


def _single(headers: Mapping[str, list[bytes]]) -> dict[str, bytes]:
    return {key: values[0] for key, values in headers.items()}


def _replace(metadata: MutableMapping[str, bytes], by: Mapping[str, list[bytes]]) -> None:
    shown = {key: metadata[key] for key in (HOST, TIMEOUT, DELAY) if key in metadata}  # by `_mark`, not by the host
    metadata.clear()
    for key, values in by.items():
        metadata[key] = values[0] if len(values) == 1 else Repeated(*values)
    metadata.update(shown)


class _LibraryCall(_SlotCall):
    """As a host of slots, but that the events go to the library."""

    _call: Any

    def __init__(self, host: LibraryUnderTest) -> None:
        super().__init__(host, lambda: host.now_ns)  # type: ignore[arg-type]
        self._host = host

    def _headers(self, direction: Direction, end: bool) -> Action:
        if direction is self.request:
            path = direction.headers[":path"].decode()
            self._call = _Remote(self._host, path, direction.headers, self.peer)
            return self._opened(self._call.begins)
        if end:
            self._trailers_now = direction.headers
        return self._ended(direction.headers) if end else Action.HOLD

    def _trailers(self, direction: Direction) -> Action:
        self._trailers_now.update(direction.trailers)
        direction.trailers = self._trailers_now
        if self._side(direction).streams or direction.trailers["grpc-status"] != b"0":
            return self._ended(direction.trailers)
        return self._messages(direction)

    def _without_message(self) -> Action:
        return self._ended_by(self._call.request(None)) or Action.REPLACE

    def _ended_by(self, judgement: Judgement) -> Action | None:
        if judgement.verdict is Verdict.ANSWER:
            self._instead = frame(self._call.instead)
            self._answer = SubstitutedBody(self._instead, dict(judgement.metadata), dict(judgement.trailers))
            return Action.RESPOND
        return super()._ended_by(judgement)

    def _judged(self, direction: Direction, body: bytes) -> Action:
        if direction is self.request:
            judgement = self._call.request(without_unnamed(body), len(body))
        else:
            judgement = self._call.response(without_unnamed(body), len(body), direction.headers, self._trailers_now)
        ended = self._ended_by(judgement)
        if ended is not None:
            return ended
        if direction is self.request:
            self._mark()
        self._instead = frame(body if self._call.instead is None else with_unnamed(self._call.instead, body))
        return Action.REPLACE

    def _ended(self, headers: dict[str, bytes]) -> Action:
        status = int(headers["grpc-status"])
        judgement = self._call.end_response(status, self.response.headers, self._trailers_now)
        return self._ended_by(judgement) or Action.CONTINUE
