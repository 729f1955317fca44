"""A chain that is upgraded to itself over and over, as one more subject: nobody can tell.

Every few calls a version begins; calls under way end with the one they began with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from appnet.ir.nodes import Block, Element, State, StateClass
from appnet.ir.walk import atoms_of, call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.observe.otlp import Resource
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import native, wasm
from appnet.processors.envoy.harness.calls import CallUnderTest, Harness
from tests.differential.compare import Subject
from tests.differential.library import GoUnderTest, build_here
from tests.processors.grpc.go_module import GoProcess
from tests.support.state_keeper import keeper

CALLS_A_VERSION = 5
Version = native.ModuleUnderTest | wasm.ModuleUnderTest | GoUnderTest
_scopes = itertools.count()


class Upgraded(Harness):
    """Versions of one module in one proxy."""

    def __init__(self, begin: Callable[..., Version], *, now_ns: int, **options: Any) -> None:
        self._begin = partial(begin, **options)
        self._now_ns = now_ns
        self._calls = 0
        self._versions = [self._begin(self._calls, now_ns=now_ns)]
        self._under_way: dict[int, int] = {}
        self._taken: list[bytes] = []

    @property
    def now_ns(self) -> int:  # type: ignore[override]
        """The clock of all versions."""
        return self._now_ns

    @now_ns.setter
    def now_ns(self, now_ns: int) -> None:
        self._now_ns = now_ns
        for it in self._versions:
            it.now_ns = now_ns

    def call(self) -> _Call:  # type: ignore[override]
        """A call of the newest version."""
        self._calls += 1
        if self._calls % CALLS_A_VERSION == 0:
            self._versions.append(self._begin(self._calls, now_ns=self._now_ns))
            self._end_what_is_over()
        version = self._versions[-1]
        self._under_way[id(version)] = self._under_way.get(id(version), 0) + 1
        return _Call(self, version)

    def state_dump(self) -> str:
        """Of the newest."""
        return self._versions[-1].state_dump()

    def take_telemetry(self) -> list[bytes]:
        """Of all versions, in the order in which it came."""
        for it in self._versions:
            self.collect(it)
        taken, self._taken = self._taken, []
        return taken

    def collect(self, version: Version) -> None:
        """Keeps what a version has for its collector."""
        self._taken += version.take_telemetry()

    def end_call(self, version: Version) -> None:
        """A call of this version is over."""
        self.collect(version)
        self._under_way[id(version)] -= 1
        self._end_what_is_over()

    def _end_what_is_over(self) -> None:
        for it in self._versions[:-1]:
            if not self._under_way.get(id(it)):
                self.collect(it)
                it.end()
                self._versions.remove(it)


class _Call:
    def __init__(self, upgraded: Upgraded, version: Version) -> None:
        self._upgraded, self._version = upgraded, version
        self._call: CallUnderTest = version.call()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._call, name)
        if not callable(found):
            return found

        def collected(*arguments: Any) -> Any:
            outcome = found(*arguments)
            self._upgraded.collect(self._version)
            return outcome

        return collected

    @property
    def peer(self) -> bytes:
        return self._call.peer

    @peer.setter
    def peer(self, proved: bytes) -> None:
        self._call.peer = proved

    def end(self) -> None:
        self._call.end()
        self._upgraded.end_call(self._version)


def _native(module: bytes, **options: Any) -> Upgraded:
    scope = keeper(f"upgraded {next(_scopes)}")
    return Upgraded(lambda _number, **it: native.ModuleUnderTest(module, keeper=scope, **it), **options)


def _wasm(module: bytes, **options: Any) -> Upgraded:
    shared = wasm.SharedData()

    def begin(number: int, **it: Any) -> Version:
        named = Resource()  # the code of the versions is the same
        named.attributes.add(key="version").value.string_value = str(number)
        resource = named.SerializeToString()
        wasm.ModuleUnderTest(module, shared=shared, resource=resource, **it)  # on Envoy's main thread
        shared.deliver()
        return wasm.ModuleUnderTest(module, shared=shared, resource=resource, **it)

    return Upgraded(begin, **options)


def _library(module: bytes, **options: Any) -> Upgraded:
    process, scope = GoProcess(), f"upgraded {next(_scopes)}"
    return Upgraded(lambda _number, **it: GoUnderTest(module, process=process, scope=scope, **it), **options)


UPGRADED = (
    Subject("upgraded native", partial(build, target="native"), _native),  # type: ignore[arg-type]
    Subject("upgraded wasm", partial(build, target="wasm"), _wasm),  # type: ignore[arg-type]
)
UPGRADED_IN_GO = Subject("upgraded slots of Go", build_here, _library)  # type: ignore[arg-type]


def tells_versions_apart(element: Element) -> bool:
    """Whether it draws, counts the calls of its version, or asks for the time or records when the version begins.

    Or ends calls in time, which the harness does when the machine ticks: an upgrade ticks.
    """
    records = {it.name for it in element.state if it.state_class is StateClass.RECORD}
    if any(isinstance(it, State) and it.name in records for one in statements(element.init) for it in atoms_of(one)):
        return True
    begins, effects = _effects(element.init), Effect(0)
    for handler in element.handlers.values():
        effects |= _effects(handler.body)
    return bool(
        (begins | effects) & (Effect.RANDOM | Effect.COUNTS_CALLS | Effect.SETS_DEADLINE) or begins & Effect.TIME
    )


def _effects(body: Block) -> Effect:
    found = Effect(0)
    for it in statements(body):
        if (call := call_of(it)) is not None:
            found |= OPERATIONS[call.op].effects
    return found
