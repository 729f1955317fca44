"""The Python library, driven as the Go module is: each event of a call in, and what became of it out."""

# ruff: noqa: N803 -- events have the names that they have in Go

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from appnet.grpc.chain import Chain, Instance
from appnet.grpc.container import code_for
from appnet.grpc.metadata import Metadata, from_wire, to_wire
from appnet.grpc.passage import Ended, Judge, Passage

FORWARD, REFUSE, ANSWER = range(3)
Headers = dict[str, list[bytes]]


class PythonProcess:
    """What `tests.processors.grpc.go_module.GoProcess` is, but that it is this process."""

    def __init__(self) -> None:
        self.loaded = 0
        self._now = self._wall = 0
        self._calls: dict[int, Passage] = {}

    def ask(self, *, Op: str, Now: int, Wall: int, Instance: int, **event: Any) -> dict[str, Any]:
        assert Instance == 0, "a process of its own for each"
        self._now, self._wall = Now, Wall
        found = getattr(self, f"_{Op}")(**event)
        return {
            "Verdict": FORWARD, "Code": 0, "Text": b"", "Message": b"", "Changed": False, "Metadata": {}, "Trailers": {},
            "Own": {}, "OwnTrailers": {}, "Destination": -1, "WaitMs": 0, "Deadline": 0, "Data": b"", **found,
        }  # fmt: skip

    def _clock(self) -> tuple[int, int]:
        return self._now, self._wall

    def _load(
        self, *, Code: bytes, Descriptors: bytes, Seed: int, Hosts: int, Types: Any, Scope: str
    ) -> dict[str, Any]:
        chain = Chain(code_for(Code))
        self._instance = Instance(chain, seed=Seed, now_ns=self._now, wall_ns=self._wall, hosts=Hosts, scope=Scope)
        pool = descriptor_pool.DescriptorPool()
        for it in descriptor_pb2.FileDescriptorSet.FromString(Descriptors).file:
            pool.Add(it)
        self._judges = {it.path: Judge(self._instance, it, server=True, clock=self._clock) for it in chain.methods}
        self._types = {
            path: [message_factory.GetMessageClass(pool.FindMessageTypeByName(it)) for it in names]
            for path, names in Types.items()
        }
        return {}

    def _call(self, *, Call: int, Path: str, Peer: bytes, Metadata: Headers) -> dict[str, Any]:
        judge = self._judges[Path]
        peer = {"x509_subject": [Peer]} if Peer else {}
        it = Passage(judge, _pairs(Metadata), peer=lambda: peer, response_class=self._types[Path][1])
        self._calls[Call] = it
        return self._of_request(it, it.open)

    def _request(self, *, Call: int, Message: bytes | None = None, Size: int = 0, **_: Any) -> dict[str, Any]:
        it = self._calls[Call]
        message = None if Message is None else self._types[it.method.path][0].FromString(Message)
        it.size = Size
        return self._of_request(it, lambda: it.request(message), message)

    def _of_request(self, it: Passage, judge: Any, message: Any = None) -> dict[str, Any]:
        found = self._judged(judge, message)
        if found.get("Verdict"):
            return found
        return found | {
            "Metadata": _headers(it.metadata), "Destination": it.destination, "WaitMs": round(it.wait * 1000),
            "Deadline": it.deadline_ns or 0,
        }  # fmt: skip

    def _response(
        self, *, Call: int, Message: bytes, Size: int, Metadata: Headers, Trailers: Headers
    ) -> dict[str, Any]:
        it = self._calls[Call]
        message = self._types[it.method.path][1].FromString(Message)
        it.size = Size
        found = self._judged(lambda: it.respond(message, _pairs(Metadata), _pairs(Trailers)), message)
        return found | {"Metadata": _headers(it.header), "Trailers": _headers(it.trailer)}

    def _trailers(self, *, Call: int, Status: int, Metadata: Headers, Trailers: Headers) -> dict[str, Any]:
        it = self._calls[Call]
        found = self._judged(lambda: it.finish_with(Status, _pairs(Metadata), _pairs(Trailers)), None)
        return found | {"Metadata": _headers(it.header), "Trailers": _headers(it.trailer)}

    @staticmethod
    def _judged(judge: Any, message: Any) -> dict[str, Any]:
        try:
            out = judge()
        except Ended as ended:
            own = {"Own": _headers(ended.leading or ended.trailing), "OwnTrailers": _headers(ended.trailing)}
            if ended.answers:
                return {
                    **own, "Verdict": ANSWER, "Own": _headers(ended.leading),
                    "Message": ended.response.SerializeToString(),
                }  # fmt: skip
            if ended.details.startswith("appnet: "):
                raise RuntimeError(ended.details) from None
            return {**own, "Verdict": REFUSE, "Code": ended.number, "Text": ended.text}
        if out is message or out is None:
            return {}
        return {"Changed": True, "Message": out.SerializeToString()}

    def _end(self, *, Call: int) -> dict[str, Any]:
        self._calls.pop(Call).end()
        return {}

    def _state(self) -> dict[str, Any]:
        return {"Data": self._instance.state().encode()}

    def _records(self) -> dict[str, Any]:
        return {"Data": self._instance.records(*self._clock())}


def _pairs(headers: Headers) -> Metadata:
    return [(key, from_wire(key, it)) for key, values in headers.items() for it in values]


def _headers(metadata: Metadata) -> Headers:
    found: Headers = {}
    for key, value in metadata:
        found.setdefault(key, []).append(to_wire(key, value))
    return found
