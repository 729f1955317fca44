"""A processor in one folder: the interpreter carries its chains. `tests.processors.test_toy` adds the one line for it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from appnet.application.manifest import Service
from appnet.application.model import Side
from appnet.codegen.c.printer import Code
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import base_name
from appnet.interpret import Answered, ChainInstance, Environment, Outcome, Refused, Rpc, dump
from appnet.ir.needs import Need
from appnet.language.messages import MessageSchema
from appnet.measure.solve import Effort
from appnet.optimize.cost import KINDS, CostModel, TargetCosts
from appnet.processors.artifact import Artifact
from appnet.processors.processor import (
    CapturedCall,
    ClusterObjects,
    Container,
    Delivered,
    Denied,
    Driver,
    ForeignCaptureError,
    Judgement,
    Nodes,
    NodeSettings,
    Processor,
    Proxies,
    Requirement,
    Substituted,
    Target,
)
from appnet.system.address import Address
from tests.processors.toy.messages import decode, encode

_GIVES = frozenset(Need) - {Need.REPLY, Need.STREAM, Need.SHARED_STATE, Need.MERGED_STATE}
_HEADERS = {"content-type": b"application/grpc"}


class ToyDriver:
    """A chain in the interpreter."""

    def __init__(self, binary: bytes, seed: int, hosts: int, now_ns: int) -> None:
        self.now_ns = now_ns
        self._methods = dict(pickle.loads(binary))
        (elements,) = {method: it for method, (_, it) in self._methods.items()}.values()
        self._chain = ChainInstance(elements, Environment(lambda: self.now_ns, seed, hosts))
        self._calls: dict[str, Rpc] = {}
        self._told = 0

    def request(self, call: str, method: str, metadata: Mapping[str, bytes], message: bytes) -> Judgement:
        signature, _ = self._methods[method]
        rpc = Rpc(signature, decode(message, signature.request), {**_HEADERS, "te": b"trailers", **metadata})
        rpc.size = len(message)
        self._calls[call] = rpc
        outcome = self._chain.request(rpc)
        if isinstance(outcome, Answered):
            self._calls.pop(call)
            message = encode(b"", outcome.fields, signature.response)
            return Substituted(message, outcome.metadata, outcome.trailers)
        judgement = self._judgement(call, outcome, message, signature.request, rpc.metadata)
        if isinstance(judgement, Delivered):
            return replace(judgement, host=rpc.destination, wait_ms=rpc.wait_ms)
        return judgement

    def response(self, call: str, metadata: Mapping[str, bytes], message: bytes, status: int) -> Judgement:
        rpc = self._calls[call]
        schema = rpc.signature.response
        rpc.message = {} if status else decode(message, schema)
        rpc.size = len(message)
        rpc.response_metadata = {**_HEADERS, **metadata}
        outcome = self._chain.response(rpc, status)
        judgement = self._judgement(call, outcome, message, schema, rpc.response_metadata)
        self._calls.pop(call, None)
        return judgement

    def _judgement(
        self, call: str, outcome: Outcome, message: bytes, schema: MessageSchema, metadata: Mapping[str, bytes]
    ) -> Judgement:
        if isinstance(outcome, Refused):
            self._calls.pop(call)
            return Denied(outcome.code, outcome.text, outcome.metadata)
        own = {key: value for key, value in metadata.items() if key not in {*_HEADERS, "te"}}
        assert not isinstance(outcome, Answered)
        return Delivered(encode(message, outcome.written, schema), own)

    def end(self, call: str) -> None:
        self._chain.end(self._calls.pop(call))

    def state(self) -> str:
        return dump(self._chain)

    def records(self) -> list[tuple[str, Any]]:
        every = self._chain.records()
        new, self._told = every[self._told :], len(every)
        return new


class Toy:
    """The seam, by the interpreter."""

    name = control = "toy"
    targets: Mapping[str, Target] = {"interpreted": Target("interpreted", "toy", gives=_GIVES, alone=_GIVES)}
    sides = tuple(Side)
    parts = (Requirement("Toy", lambda: "1.0", "play"),)

    @property
    def prices(self) -> CostModel:
        costs = TargetCosts(100.0, 10.0, 10.0, dict.fromkeys(KINDS, 1.0))
        return CostModel("nowhere: it is a toy", {"interpreted": costs}, crossing=20.0)

    def build(self, code: Code, target: str) -> bytes:
        methods = {method.full_name: (method, tuple(elements)) for method, elements in code.chain.methods}
        return pickle.dumps(methods)

    def drive(self, binary: bytes, target: str, *, seed: int, hosts: int, now_ns: int) -> Driver:
        return ToyDriver(binary, seed, hosts, now_ns)

    def nodes(self) -> AbstractAsyncContextManager[Nodes]:
        raise NotImplementedError("nothing here runs it")

    def container(self, settings: NodeSettings, artifacts: Sequence[Artifact]) -> Container:
        raise NotImplementedError("nothing here runs it")

    def mesh(self) -> None:
        return

    def program_files(self, artifacts: Sequence[Artifact], records: Address | None) -> Mapping[str, bytes]:
        return {}

    def objects(self) -> ClusterObjects:
        return ToyObjects()

    def captured(self, file: Source, method: str) -> Iterator[CapturedCall]:
        title, help_ = f"{base_name(file)} is no capture of a toy", "toys capture nothing"
        raise ForeignCaptureError([Diagnostic("C076", Severity.ERROR, title, Span.whole(file), "", help_)])

    async def calibrate(self, effort: Effort, progress: Callable[[str], None]) -> CostModel:
        return self.prices


class ToyObjects:
    """A ConfigMap for each chain."""

    name = "toys in a cluster"
    preparation = "Toys are for children of three years and older."
    kinds: Sequence[str] = ("configmaps",)
    cannot_say = frozenset[Need]()

    def proxies(self, service: Service) -> Proxies:
        return Proxies(service.namespace, {})

    def problems(self, artifacts: Any, services: Any) -> Iterable[Any]:
        return ()

    def shared(
        self, namespace: str, artifacts: Any, services: Any, collector: Any, control: Any = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        return iter(())

    def chain(self, artifacts: Any, name: str, service: Any, server: Any, namespace: str, hosts: int) -> dict[str, Any]:
        data = {it.name: it.version for it in artifacts}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}

    def set_up(self, template: dict[str, Any], artifacts: Any, control: Any = None) -> None:
        pass


PROCESSOR: Processor = Toy()
