"""Instances of an element, as modules with a real store and in the interpreter with its own, which must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Refused, Rpc, Store
from appnet.interpret.dump import dump
from appnet.interpret.values import Value
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language.types import MapType
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import native, wasm
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.processor import Denied
from appnet.state.layout import PARTS, decode, decode_key, state_keys
from tests.support.programs import program
from tests.support.raw_grpc import frame, string_field
from tests.support.shared_store import StoreUnderTest
from tests.support.signatures import ECHO

HARNESSES = {NATIVE: native.ModuleUnderTest, WASM: wasm.ModuleUnderTest}

PATH = "/echo.EchoService/echo"


def compiled(state: str, req: str = "", **blocks: str) -> Element:
    """An element with this state and these blocks."""
    return compile_element(TextSource(Path("it.appnet"), program(req, state=state, **blocks)), ECHO).element


class Instances:
    """So many instances of an element, as modules and in the interpreter, which must agree."""

    def __init__(self, store: StoreUnderTest, element: Element, count: int = 2, target: str = NATIVE) -> None:
        self.store, self.scope, self.model = store, store.scope(), Store()
        self.element = element
        self.target = target
        self.module = build(print_chain(ChainSource("chain", "1", [(ECHO, [element])])), target)
        self.now_ns = 10**9
        self.modules: list[native.ModuleUnderTest | wasm.ModuleUnderTest] = []
        self.interpreted: list[ChainInstance] = []
        for number in range(count):
            self.modules.append(self._module(number))
            self.interpreted.append(self._interpreted(number))

    def _module(self, number: int) -> native.ModuleUnderTest | wasm.ModuleUnderTest:
        return HARNESSES[self.target](
            self.module,
            seed=number + 1,
            now_ns=self.now_ns,
            name=str(number).encode(),
            ask=lambda element, variable, parts: self.store.ask(self.scope, element, variable, parts),
        )

    def _interpreted(self, number: int) -> ChainInstance:
        environment = Environment(lambda: self.now_ns, seed=number + 1)
        return ChainInstance([self.element], environment, store=self.model, number=number)

    def restart(self, *numbers: int) -> None:
        """These instances end, as if killed, and begin anew."""
        for it in numbers:
            self.modules[it].end()
            self.model.leave(it)
        for it in numbers:
            self.modules[it], self.interpreted[it] = self._module(it), self._interpreted(it)

    def away(self, *, away: bool) -> None:
        """The store leaves or is back."""
        self.store.away = self.model.away = away
        for it in self.modules:
            assert it.carrier is not None
            it.carrier.settle()

    def merge(self, number: int) -> None:
        """The instance merges its weak state."""
        self.interpreted[number].merge()
        self.modules[number].now_ns = self.now_ns
        carrier = self.modules[number].carrier
        assert carrier is not None
        carrier.merge()

    def call(self, number: int, body: bytes = b"") -> str:
        """What becomes of a call through the instance."""
        wanted = self.interpreted[number].request(Rpc(ECHO, {"Body": body}, {}))
        self.modules[number].now_ns = self.now_ns
        call = self.modules[number].call()
        found = call.run_request(PATH, {}, [frame(string_field(1, body))])
        call.end()
        text = found.text.decode() if isinstance(found, Denied) else "passes"
        assert text == (wanted.text.decode() if isinstance(wanted, Refused) else "passes")
        assert isinstance(wanted, Refused | Forwarded)
        return text

    def in_store(self, name: str) -> list[tuple[Value, Value]]:
        """The entries that the store has of a strong Map, the one first that was set longest ago."""
        type_ = next(it.type for it in self.element.state if it.name == name)
        assert isinstance(type_, MapType)
        keys = dict(zip(PARTS, state_keys(self.scope, self.element.name), strict=True))
        begin = f"{name}.".encode()
        members: Any = self.store.client.zrange(keys["order"], 0, -1)
        values: Any = self.store.client.hmget(keys["entries"], members) if members else []
        return [
            (decode_key(member.removeprefix(begin), type_.key), decode(value, type_.value))
            for member, value in zip(members, values, strict=True)
            if member.startswith(begin)
        ]

    def agree(self, number: int, *, ordered: bool = True) -> None:
        """The instance that has just judged has what the interpreter has; not ``ordered``: in some order."""
        found, wanted = self.modules[number].state_dump(), dump(self.interpreted[number])
        assert found == wanted if ordered else sorted(found) == sorted(wanted)
