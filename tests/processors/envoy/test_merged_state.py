"""Weak state of native modules in a real store: what merges make of it, as the interpreter has it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from appnet.codegen.c import ChainSource, print_chain
from appnet.interpret.values import float_bits
from appnet.ir.nodes import Element
from appnet.ir.sharing import Sharing, shares
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import native, wasm
from appnet.processors.envoy.harness.wasm import SharedData
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.state.layout import script
from tests.support.raw_grpc import frame, string_field
from tests.support.shared_instances import HARNESSES, PATH, Instances, compiled
from tests.support.shared_store import StoreUnderTest, store_under_test
from tests.support.signatures import ECHO


@pytest.fixture(scope="module")
def store() -> Iterator[StoreUnderTest]:
    with store_under_test() as it:
        yield it


PUT = """b = get(rpc, 'body')
if b == '':
    delete(x, 'a')
else:
    set(x, b, get(x, b, 0) + 3 - len(b) * 2)
    if b == 'clear':
        x = y
if size(x) > 90:
    send(err('full'), Up)"""
COUNT = "b = get(rpc, 'body')\nset(x, b, get(x, b, 0) + 3 - len(b) * 2)\nif size(x) > 90:\n    send(err('full'), Up)"
TEXTS = PUT.replace("get(x, b, 0) + 3 - len(b) * 2", "concat(get(x, b, ''), b)")
ROUNDS = """b = get(rpc, 'body')
if b == '':
    x = []
else:
    set(x, size(x), b)
if b == 'b':
    set(x, 0, 'first')
if size(x) > 90:
    send(err('full'), Up)"""


def weak(combiner: str, declaration: str, more: str = "") -> str:
    return f"@consistency(weak) @combiner({combiner}) {more}\n{declaration}"


NUMBER = "x = x * 2 + 1 - len(get(rpc, 'body'))\nif x > 1000:\n    x = 3"
UNORDERED, STRONG_TOO = "Map by sum, with deletes", "beside strong state"
CASES = {
    **{f"Map by {it}": (weak(it, "x: Map<string, int>", "@capacity(4)") + "\ny: Map<string, int>", PUT) for it in
       ("max", "min", "LWW", "union")},
    "Map by sum": (weak("sum", "x: Map<string, int>", "@capacity(3)"), COUNT),
    UNORDERED: (weak("sum", "x: Map<string, int>") + "\ny: Map<string, int>", PUT),
    "Map of texts by LWW": (weak("LWW", "x: Map<string, string>", "@capacity(3)") + "\ny: Map<string, string>", TEXTS),
    "Map of texts by union": (weak("union", "x: Map<string, string>") + "\ny: Map<string, string>", TEXTS),
    **{f"int by {it}": (weak(it, "x: int"), NUMBER) for it in ("sum", "max", "min", "LWW")},
    **{f"float by {it}": (weak(it, "x: float"), "x = x * 0.5 - 0.25\nif get(rpc, 'body') == 'a':\n    x = 3.0\nif x > 5.0:\n    send(err('no'), Up)") for it in
       ("sum", "max", "min", "LWW")},
    "uint by sum": (weak("sum", "x: uint"), "x = x * 3 + len(get(rpc, 'body'))\nif x > 1000:\n    send(err('no'), Up)"),
    "a counter": (weak("sum", "x: int"), "x = x + len(get(rpc, 'body')) - 1"),
    "a strong counter": ("@consistency(strong)\nx: float", "x = x + 0.5"),
    "a counter by LWW": (weak("LWW", "x: int"), "x = x + len(get(rpc, 'body'))"),
    "a text": (weak("LWW", "x: string"), "x = concat(get(rpc, 'body'), x)\nif len(x) > 9:\n    x = 'short'"),
    "a pair": (weak("LWW", "x: <int, string>"), "(n, last) = x\nx = (n + 1, get(rpc, 'body'))\nif n > 9:\n    send(err('no'), Up)"),
    "Instants by max": (weak("max", "x: Instant"), "if time_diff(current_time(), x) < 1.0:\n    send(err('soon'), Up)\nx = current_time()"),
    "Map of Instants by max": (weak("max", "x: Map<Instant, Instant>") + "\nlast: Instant", "set(x, last, current_time())\nif size(x) > 4:\n    delete(x, last)\n    send(err('no'), Up)\nlast = current_time()"),
    "Vec by union": (weak("union", "x: Vec<string>", "@capacity(5)"), ROUNDS),
    "Vec by LWW": (weak("LWW", "x: Vec<string>", "@capacity(5)"), ROUNDS),
    "what init draws": ("@consistency(weak)\nx: int\ny: int", "y = y + x\nif x > 500:\n    send(err('large'), Up)"),
    "several": (weak("sum", "x: Map<int, int>") + "\n" + weak("LWW", "y: Map<int, bool>") + "\n" + weak("max", "z: uint"),
                "n = len(get(rpc, 'body'))\nset(x, n, get(x, n, 0) + 1)\nset(y, get(x, n, 0), true)\nz = size(y)\nif z > 6:\n    delete(y, n)"),
    STRONG_TOO: ("@consistency(strong)\ns: int\n" + weak("sum", "x: Map<string, int>") + "\n" + weak("LWW", "y: int"),
                            "b = get(rpc, 'body')\ns = s + 1\nset(x, b, get(x, b, 0) + s)\ny = s\nif s > 30:\n    send(err('no'), Up)"),
}  # fmt: skip


ON_WASM = ("Map by sum", "Map of texts by LWW", "Map of Instants by max", "Vec by union", STRONG_TOO)


@pytest.mark.parametrize(("target", "name"), [*((NATIVE, it) for it in CASES), *((WASM, it) for it in ON_WASM)])
def test_instances_agree_with_the_interpreter(store: StoreUnderTest, target: str, name: str) -> None:
    state, req = CASES[name]
    element = compiled(state, req, init="x = randomi(0, 1000)" if name == "what init draws" else "pass")
    for seed in range(4 if target == NATIVE else 1):  # they run the same C
        draw = random.Random(seed)
        them = Instances(store, element, 3, target)
        for _ in range(80):
            them.now_ns += draw.choice([0, 0, 1, 10**9])
            one = draw.randrange(3)
            match draw.randrange(20):
                case 0 if not store.away:
                    them.restart(one)
                case 1 if not store.away and draw.randrange(4) == 0:
                    them.restart(0, 1, 2)
                case 2 if name != STRONG_TOO:
                    them.away(away=not store.away)
                case it if it < 9:
                    them.merge(one)
                case _:
                    them.call(one, draw.choice([b"a", b"b", b"c", b"d", b"clear", b"", b"\xff."]))
                    them.agree(one, ordered=name != UNORDERED)
            if name != STRONG_TOO:  # the interpreter's merge also looks at strong state
                them.agree(one, ordered=name != UNORDERED)
        them.away(away=False)


# --- requests under way, and lost ---


class Busy:
    """Instances that judge calls while a merge is under way, over a connection that loses requests and answers."""

    def __init__(
        self, store: StoreUnderTest, element: Element, draw: random.Random, count: int = 3, target: str = NATIVE
    ) -> None:
        self.store, self.scope, self.draw = store, store.scope(), draw
        self.element, self.target = element, target
        self.module = build(print_chain(ChainSource("chain", "1", [(ECHO, [element])])), target)
        self.bodies: list[bytes] = []
        self.losses = 0.0
        self.merging: int | None = None
        self.modules = [self._begun(number) for number in range(count)]

    def _begun(self, number: int, **options: SharedData) -> native.ModuleUnderTest | wasm.ModuleUnderTest:
        harness = HARNESSES[self.target]
        return harness(self.module, seed=number + 1, name=str(number).encode(), ask=self._ask, **options)

    def _ask(self, element: str, variable: str, parts: list[bytes]) -> bytes | None:
        if self.merging is not None and parts and self.draw.randrange(2):
            self.call(self.merging)
        if parts and self.draw.random() < self.losses / 2:
            return None
        answer = self.store.ask(self.scope, element, variable, parts)
        if self.merging is not None and parts and self.draw.randrange(2):
            self.call(self.merging)
        return None if parts and self.draw.random() < self.losses / 2 else answer

    def call(self, number: int) -> None:
        body = self.draw.choice([b"a", b"b", b"c", b"d", b""])
        self.bodies.append(body)
        call = self.modules[number].call()
        call.run_request(PATH, {}, [frame(string_field(1, body))])
        call.end()

    def merge(self, number: int) -> None:
        self.merging = number
        carrier = self.modules[number].carrier
        assert carrier is not None
        carrier.merge()
        self.merging = None

    def run(self, steps: int) -> None:
        for _ in range(steps):
            one = self.draw.randrange(len(self.modules))
            self.modules[one].now_ns += self.draw.choice([0, 1, 10**8])
            (self.merge if self.draw.randrange(3) == 0 else self.call)(one)

    def _merged(self, state: str) -> list[str]:
        merged = tuple(f"it.{name} =" for name, it in shares(self.element).items() if it.sharing is Sharing.MERGED)
        return [line for line in state.splitlines(keepends=True) if line.startswith(merged)]

    def settled(self) -> str:
        """The state of all, once they have merged without losses or further calls."""
        self.losses = 0.0
        for _ in range(3):
            for it in self.modules:
                assert it.carrier is not None
                it.carrier.merge()
        states = ["".join(self._merged(it.state_dump())) for it in self.modules]
        assert [sorted(it) for it in states] == [sorted(states[0])] * len(states)
        return states[0]


ADDED = "\n".join((weak("sum", "x: Map<string, int>"), weak("sum", "n: int"), weak("sum", "seen: int")))
ADDS = "b = get(rpc, 'body')\nset(x, b, get(x, b, 0) + 1)\nn = n + 1\nseen = seen + 2\nif seen < 0:\n    send(err('no'), Up)"


def counted_once(them: Busy) -> None:
    """What handlers have added is there, once."""
    total, found = len(them.bodies), them.settled()
    assert f"it.n = {total}\n" in found
    assert f"it.seen = {2 * total}\n" in found
    for body in set(them.bodies):
        assert f'"{body.hex()}": {them.bodies.count(body)}' in found


@pytest.mark.parametrize("target", [NATIVE, WASM])
@pytest.mark.parametrize("losses", [0.0, 0.5])
def test_what_is_added_counts_once(store: StoreUnderTest, losses: float, target: str) -> None:
    for seed in range(5 if target == NATIVE else 1):
        them = Busy(store, compiled(ADDED, ADDS), random.Random(seed), target=target)
        them.losses = losses
        them.run(200)
        counted_once(them)


def test_versions_of_wasm_count_once_what_both_do(store: StoreUnderTest) -> None:
    """They hand over all of their state, and merge what changes from then on."""
    them, shared = Busy(store, compiled(ADDED, ADDS), random.Random(1), 1, WASM), SharedData()
    for number in (1, 2, 3):
        source = ChainSource("chain", str(number), [(ECHO, [them.element])])
        them.module = build(print_chain(source), WASM)
        them.modules.append(them._begun(number, shared=shared))
        for _ in range(80):
            shared.deliver()
            them.run(1)
        counted_once(them)
        old = them.modules[1]
        if number > 1:
            assert isinstance(old, wasm.ModuleUnderTest)
            old.run("proxy_on_done", 1)
            them.modules.remove(old)


@pytest.mark.parametrize("name", [it for it in CASES if it != STRONG_TOO])  # whose steps wait for merges
def test_all_have_the_same_in_the_end(store: StoreUnderTest, name: str) -> None:
    state, req = CASES[name]
    element = compiled(state, req, init="x = randomi(0, 1000)" if name == "what init draws" else "pass")
    for seed in range(3):
        them = Busy(store, element, random.Random(seed))
        them.losses = 0.3
        them.run(150)
        assert them.settled()


def test_a_store_that_comes_back_empty_has_what_there_was(store: StoreUnderTest) -> None:
    state = (
        weak("sum", "x: Map<string, int>") + "\n" + weak("LWW", "y: Map<string, int>") + "\n" + weak("sum", "n: int")
    )
    req = "b = get(rpc, 'body')\nset(x, b, get(x, b, 0) + 1)\nset(y, b, get(x, b, 0))\nn = n + 1"
    them = Busy(store, compiled(state, req), random.Random(1))
    them.run(60)
    them.settled()
    store.client.flushdb()
    store.client.script_load(script().decode())
    them.run(60)
    found = them.settled()
    assert f"it.n = {len(them.bodies)}\n" in found
    for body in set(them.bodies):
        assert f'"{body.hex()}": {them.bodies.count(body)}' in found


def test_a_variable_of_another_type_is_not_merged(store: StoreUnderTest) -> None:
    one = Busy(store, compiled(weak("sum", "x: int"), "x = x + 1"), random.Random(1), 1)
    one.call(0)
    one.merge(0)
    other = Busy(store, compiled(weak("sum", "x: float"), "x = x + 1.0"), random.Random(1), 0)
    other.scope = one.scope
    other.modules.append(other._begun(7))
    other.call(0)
    other.merge(0)
    one.merge(0)
    own = float_bits(float(len(other.bodies)))
    assert other.modules[0].state_dump() == f"it.x = {own:016x}\n", "its own calls, and nothing of the other's"
    assert one.modules[0].state_dump() == f"it.x = {len(one.bodies)}\n"


def test_what_the_store_refuses_of_a_merge_is_told(store: StoreUnderTest) -> None:
    one = Busy(store, compiled(weak("LWW", "x: int"), "x = x + 1"), random.Random(1), 1)
    carrier = one.modules[0].carrier
    assert carrier is not None
    flaw = "WRONGTYPE Operation against a key holding the wrong kind of value"

    def ask(_element: str, _variable: str, parts: list[bytes]) -> bytes | None:
        return b"\3" + flaw.encode() if parts and parts[0] == b"merge" else one._ask(_element, _variable, parts)

    carrier._ask = ask
    one.call(0)
    one.merge(0)
    assert carrier.flaws == [flaw]
    carrier._ask = one._ask
    assert one.settled() == "it.x = 1\n"


def test_entries_that_come_and_go_while_the_store_is_away_take_no_more_memory(store: StoreUnderTest) -> None:
    state = weak("LWW", "x: Map<string, string>", "@capacity(4)")
    one = Busy(store, compiled(state, "set(x, get(rpc, 'body'), 'here')"), random.Random(1), 1)
    it, told = one.modules[0], b""

    def ask(element: str, variable: str, parts: list[bytes]) -> bytes | None:
        nonlocal told
        told = max(told, parts[5], key=len) if parts and parts[0] == b"merge" else told
        return one._ask(element, variable, parts)

    assert it.carrier is not None
    it.carrier._ask = ask
    for number in range(40_000):
        call = it.call()
        call.run_request(PATH, {}, [frame(string_field(1, b"%06d" % number))])
        call.end()
    one.merge(0)
    assert one.settled().count(b"here".hex()) == 4
    assert 16_384 <= told.count(b"\2\6\0\0\0") <= 33_000, "as many deletes as the store remembers, twice at most"
