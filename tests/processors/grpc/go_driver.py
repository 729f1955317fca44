"""A chain in the Go module as a driver: what behaviour files are tried on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2

from appnet.application.proto import ProtoFile
from appnet.codegen.c.slots import Verdict
from appnet.interpret.rpc import WALL_AHEAD_NS
from appnet.language.messages import MethodSignature
from appnet.processors.grpc.driver import records_of
from appnet.processors.processor import Delivered, Denied, Judgement, Sharer, Substituted
from tests.processors.grpc.go_module import GoProcess

_HEADERS = {"content-type": b"application/grpc", "te": b"trailers"}


_numbers = itertools.count(1)


@cache
def _process() -> GoProcess:
    """One for all instances."""
    return GoProcess()


def descriptors(proto: ProtoFile, method: MethodSignature) -> bytes:
    """The files that declare the method's messages, as an encoded ``FileDescriptorSet``."""
    found: dict[str, Any] = {}

    def add(file: Any) -> None:
        if file.name not in found:
            for it in file.dependencies:
                add(it)
            found[file.name] = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(found[file.name])

    for schema in (method.request, method.response):
        add(proto.message_class(schema.full_name).DESCRIPTOR.file)
    encoded: bytes = descriptor_pb2.FileDescriptorSet(file=list(found.values())).SerializeToString()
    return encoded


class GoDriver:
    """One instance of a chain, with the messages of the .proto as a Go program has them."""

    def __init__(
        self,
        binary: bytes,
        proto: ProtoFile,
        method: MethodSignature,
        *,
        seed: int,
        hosts: int,
        now_ns: int,
        sharer: Sharer | None = None,
    ) -> None:
        self.now_ns, self._sharer = now_ns, sharer
        self._process = _process()
        self._instance = self._process.loaded
        self._process.loaded += 1
        self._calls: dict[str, int] = {}
        self._ask(
            "load",
            Code=binary,
            Descriptors=descriptors(proto, method),
            Seed=seed,
            Hosts=hosts,
            Types={method.full_name: (method.request.full_name, method.response.full_name)},
            Shares=sharer.name.decode() if sharer is not None else "",
        )
        if sharer is not None:
            names = [it.decode() for it in self._ask("store", Function="names")["Parts"]]
            self._copies = list(zip(names[::2], names[1::2], strict=True))
            self._carry()
            self._merge(due=False)

    def _ask(self, op: str, **event: Any) -> dict[str, Any]:
        now, wall = self.now_ns, self.now_ns + WALL_AHEAD_NS
        told = self._process.ask(Op=op, Now=now, Wall=wall, Instance=self._instance, **event)
        while told["Waits"]:
            self._carry()
            told = self._process.ask(Op="resume", Now=now, Wall=wall, Instance=self._instance)
        if self._sharer is not None and op in {"response", "trailers", "end"}:
            self._carry()  # nobody waits for ends
        return told

    def request(self, call: str, method: str, metadata: Mapping[str, bytes], message: bytes) -> Judgement:
        """What becomes of the request of a new call."""
        number = self._calls[call] = next(_numbers)
        told = self._ask("call", Call=number, Path=method, Metadata=_several({**_HEADERS, **metadata}))
        if told["Verdict"] == Verdict.FORWARD:
            told = self._ask("request", Call=number, Message=message, Size=len(message))
        host = told["Destination"] if told["Destination"] >= 0 else None
        return self._judgement(call, told, message, told["Metadata"], host)

    def response(self, call: str, metadata: Mapping[str, bytes], message: bytes, status: int) -> Judgement:
        """What becomes of its response; the call is over then."""
        event: dict[str, Any] = {"Call": self._calls[call], "Trailers": {}}
        event["Metadata"] = _several({"content-type": _HEADERS["content-type"], **metadata})
        if status:
            told = self._ask("trailers", Status=status, **event)
        else:
            told = self._ask("response", Message=message, Size=len(message), **event)
        own = told["Metadata"] | told["Trailers"] if status else told["Metadata"]
        found = self._judgement(call, told, message, own)
        if call in self._calls:
            self.end(call)
        return found

    def _judgement(
        self,
        call: str,
        told: Mapping[str, Any],
        message: bytes,
        metadata: Mapping[str, list[bytes]],
        host: int | None = None,
    ) -> Judgement:
        verdict, own, trailers = told["Verdict"], _single(told["Own"]), _single(told["OwnTrailers"])
        if verdict == Verdict.FORWARD:
            kept = {key: value for key, value in _single(metadata).items() if key not in _HEADERS}
            return Delivered(told["Message"] if told["Changed"] else message, kept, host, told["WaitMs"])
        self.end(call)
        if verdict == Verdict.REFUSE:
            return Denied(told["Code"], told["Text"], own)
        return Substituted(told["Message"], own, trailers)

    def end(self, call: str) -> None:
        """The call is over, or cut off."""
        self._ask("end", Call=self._calls.pop(call))

    def state(self) -> str:
        """All state as text."""
        found: bytes = self._ask("state")["Data"]
        return found.decode()

    def records(self) -> list[tuple[str, Any]]:
        """What was recorded since the last time."""
        return records_of(self._ask("records")["Data"])

    # --- shared state ---

    def settle(self) -> None:
        """What waited for the store happens."""
        self._carry()

    def merge(self) -> None:
        """Merges its weak state."""
        self._merge(due=True)

    def leave(self) -> None:
        """It ends with its calls."""
        assert self._sharer is not None
        for call in list(self._calls):
            self.end(call)
        self._carry()
        for copy, names in enumerate(self._copies):
            self._sharer.ask(*names, self._ask("store", Function="leave", Copy=copy)["Parts"])

    def _merge(self, *, due: bool) -> None:
        assert self._sharer is not None
        for copy, names in enumerate(self._copies):
            if names[1] and self._sharer.ask(*names, []) is not None:
                self._step(copy, due=due)
        self._carry()

    def _carry(self) -> None:
        for copy, (_, variable) in enumerate(self._copies):
            while not variable and self._step(copy, due=False):
                pass

    def _step(self, copy: int, *, due: bool) -> bool:
        assert self._sharer is not None
        parts = self._ask("store", Function="take", Copy=copy, Due=due)["Parts"]
        if not parts:
            return False
        answer = self._sharer.ask(*self._copies[copy], parts)
        if answer is None:
            self._ask("store", Function="unanswered", Copy=copy)
            self._ask("store", Function="away", Copy=copy)
            return False
        return not self._ask("store", Function="answer", Copy=copy, Message=answer)["Text"]


def _several(metadata: Mapping[str, bytes]) -> dict[str, list[bytes]]:
    return {key: [value] for key, value in metadata.items()}


def _single(headers: Mapping[str, list[bytes]]) -> dict[str, bytes]:
    return {key: values[0] for key, values in headers.items()}
