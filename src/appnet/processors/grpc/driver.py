"""A chain driven without an application: messages as bytes in, judgements out, by the library for Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appnet.grpc.chain import Chain, Instance, Method
from appnet.grpc.container import code_for
from appnet.grpc.metadata import Metadata, from_wire, to_wire
from appnet.grpc.passage import Ended, Judge, Passage
from appnet.interpret.rpc import WALL_AHEAD_NS, Repeated, values_of
from appnet.observe import otlp
from appnet.observe.records import REFUSALS
from appnet.processors.grpc.schema import message_class
from appnet.processors.grpc.sharing import DrivenCarrier
from appnet.processors.processor import Delivered, Denied, Judgement, Sharer, Substituted

_ANSWER = "answer"


class LibraryDriver:
    """One instance of a chain, as a library judges by it. ``sharer``: how it shares state, if it does."""

    def __init__(self, binary: bytes, *, seed: int, hosts: int, now_ns: int, sharer: Sharer | None = None) -> None:
        self.now_ns = now_ns
        chain = Chain(code_for(binary))
        now, wall = self._clock()
        self._carrier = None if sharer is None else DrivenCarrier(sharer, self._clock)
        self._instance = Instance(chain, seed=seed, now_ns=now, wall_ns=wall, hosts=hosts, carrier=self._carrier)
        self._judges = {it.path: Judge(self._instance, it, server=True, clock=self._clock) for it in chain.methods}
        self._calls: dict[str, Passage] = {}
        self._classes: dict[tuple[int, str], Any] = {}

    def _clock(self) -> tuple[int, int]:
        return self.now_ns, self.now_ns + WALL_AHEAD_NS

    def _class(self, method: Method, part: str) -> Any:
        key = method.index, part
        if key not in self._classes:
            sides = (method.response, method.reply) if part == _ANSWER else (getattr(method, part),)
            self._classes[key] = message_class(*sides)
        return self._classes[key]

    def request(self, call: str, method: str, metadata: Mapping[str, bytes], message: bytes) -> Judgement:
        """What becomes of the request of a new call."""
        judge = self._judges[method]
        of = judge.method
        it = self._calls[call] = Passage(judge, pairs(metadata), response_class=self._class(of, _ANSWER))
        it.size = len(message)
        came = self._class(of, "request").FromString(message)
        try:
            out = it.begin(came)
        except Ended as ended:
            self.end(call)
            return _ended(ended)
        return Delivered(_encoded(out, came, message), mapping(it.metadata), _host(it), round(1000 * it.wait))

    def response(self, call: str, metadata: Mapping[str, bytes], message: bytes, status: int) -> Judgement:
        """What becomes of its response; the call is over then."""
        it = self._calls[call]
        try:
            if status:
                it.finish_with(status, pairs(metadata), [])
            else:
                it.size = len(message)
                came = self._class(it.method, "response").FromString(message)
                message = _encoded(it.respond(came, pairs(metadata), []), came, message)
        except Ended as ended:
            return _ended(ended)
        finally:
            self.end(call)
        # An error has all its metadata in one place.
        own = mapping(it.header) | mapping(it.trailer) if status else mapping(it.header)
        return Delivered(message, own)

    def end(self, call: str) -> None:
        """The call is over, or cut off."""
        self._calls.pop(call).end()

    def state(self) -> str:
        """All state as text."""
        return self._instance.state()

    def records(self) -> list[tuple[str, Any]]:
        """What was recorded since the last time."""
        return records_of(self._instance.records(*self._clock()))

    # --- shared state ---

    def settle(self) -> None:
        """What waited for the store happens."""
        assert self._carrier is not None
        self._carrier.settle()

    def merge(self) -> None:
        """Merges its weak state."""
        assert self._carrier is not None
        self._carrier.merge()

    def leave(self) -> None:
        """It ends with its calls."""
        assert self._carrier is not None
        for call in list(self._calls):
            self.end(call)
        self._carrier.leave()


def records_of(telemetry: bytes) -> list[tuple[str, Any]]:
    """The records of a batch, each with the stream that it is of."""
    batch = otlp.ExportLogsServiceRequest.FromString(telemetry)
    return [
        (scope.scope.name, _plain(record.body))
        for resource in batch.resource_logs
        for scope in resource.scope_logs
        if scope.scope.name != REFUSALS
        for record in scope.log_records
    ]


def pairs(metadata: Mapping[str, bytes]) -> Metadata:
    """Metadata as gRPC has them, of those on the wire."""
    return [(key, from_wire(key, it)) for key, value in metadata.items() for it in values_of(value)]


def mapping(metadata: Metadata) -> dict[str, bytes]:
    """The other way round."""
    found: dict[str, list[bytes]] = {}
    for key, value in metadata:
        found.setdefault(key, []).append(to_wire(key, value))
    return {key: it[0] if len(it) == 1 else Repeated(*it) for key, it in found.items()}


def _host(it: Passage) -> int | None:
    return it.destination if it.destination >= 0 else None


def _encoded(out: Any, came: Any, message: bytes) -> bytes:
    return message if out is came else bytes(out.SerializeToString())


def _ended(ended: Ended) -> Judgement:
    if ended.answers:
        return Substituted(ended.response.SerializeToString(), mapping(ended.leading), mapping(ended.trailing))
    return Denied(ended.number, ended.text, mapping(ended.trailing))


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_plain(item) for item in value.array_value.values)
    return getattr(value, kind)
