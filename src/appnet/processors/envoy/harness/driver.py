"""Modules given messages, not events: what stands between is gRPC's framing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appnet.processors.envoy.framing import FRAME_SIZE, framed
from appnet.processors.envoy.harness import native, wasm
from appnet.processors.envoy.harness.calls import BodyJudgement, CallUnderTest, DeliveredBody, Harness, SubstitutedBody
from appnet.processors.envoy.headers import read
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.processor import Delivered, Denied, Judgement, Sharer, Substituted

_HARNESSES = {NATIVE: native.ModuleUnderTest, WASM: wasm.ModuleUnderTest}


class EnvoyDriver:
    """One instance of a module, driven without a proxy."""

    def __init__(self, binary: bytes, target: str, *, seed: int, hosts: int, now_ns: int) -> None:
        self._begin(_HARNESSES[target](binary, seed=seed, backend_count=hosts, now_ns=now_ns))

    def _begin(self, module: Harness) -> None:
        self._module = module
        self._calls: dict[str, CallUnderTest] = {}

    @property
    def now_ns(self) -> int:
        """The module's monotonic clock."""
        return self._module.now_ns

    @now_ns.setter
    def now_ns(self, now_ns: int) -> None:
        self._module.now_ns = now_ns

    def request(self, call: str, method: str, metadata: Mapping[str, bytes], message: bytes) -> Judgement:
        """What becomes of the request of a new call."""
        under_test = self._calls[call] = self._module.call()
        judgement = _judgement(under_test.run_request(method, metadata, [framed(message)]))
        if not isinstance(judgement, Delivered):
            self.end(call)
        return judgement

    def response(self, call: str, metadata: Mapping[str, bytes], message: bytes, status: int) -> Judgement:
        """What becomes of its response; the call is over then."""
        chunks = [] if status else [framed(message)]
        judgement = _judgement(self._calls[call].run_response(metadata, chunks, status))
        self.end(call)
        return judgement

    def end(self, call: str) -> None:
        """The call is over, or cut off."""
        self._calls.pop(call).end()

    def state(self) -> str:
        """All state as text."""
        return self._module.state_dump()

    def records(self) -> list[tuple[str, Any]]:
        """What was recorded since the last time."""
        return self._module.records()


class SharingEnvoyDriver(EnvoyDriver):
    """One instance of a module that shares state."""

    def __init__(self, binary: bytes, target: str, sharer: Sharer, *, seed: int, hosts: int, now_ns: int) -> None:
        module = _HARNESSES[target](
            binary, seed=seed, backend_count=hosts, now_ns=now_ns, name=sharer.name, ask=sharer.ask
        )
        assert module.carrier is not None
        self._carrier = module.carrier
        self._end = module.end
        self._begin(module)

    def settle(self) -> None:
        """What waited for the store happens."""
        self._carrier.settle()

    def merge(self) -> None:
        """Merges its weak state."""
        self._carrier.merge()

    def leave(self) -> None:
        """It ends with its calls."""
        for call in list(self._calls):
            self.end(call)
        self._end()


def _judgement(got: BodyJudgement) -> Judgement:
    match got:
        case Denied():
            return got
        case SubstitutedBody(body=body, metadata=metadata, trailers=trailers):
            return Substituted(body[FRAME_SIZE:], metadata, trailers)
        case DeliveredBody(body=body, metadata=metadata):
            return Delivered(body[FRAME_SIZE:], *read(metadata))
