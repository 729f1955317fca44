"""Random interleavings of instances: the store against models that know nothing of it.

Strong state: any program on several instances is the same program on one instance that gets all calls in their order.
Weak state: once all have merged, every copy is what all writes together make, by the algebra of the combiner.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Outcome, Rpc, Store
from appnet.ir.compile import compile_element
from appnet.ir.needs import one_state
from appnet.ir.nodes import Consistency, Element, StateClass
from appnet.language.types import FLOAT
from tests.support.calls import Clock, run
from tests.support.elements import make_program
from tests.support.programs import program
from tests.support.sample import SAMPLE
from tests.support.signatures import ECHO
from tests.support.traffic import make_traffic

SEEDS = int(os.environ.get("APPNET_INTERLEAVINGS", "60"))
"""How many of each kind; a long run sets more."""


def declared(text: str) -> Element:
    """The program, all of whose state is declared strong."""
    element = compile_element(TextSource(Path("it.appnet"), text), SAMPLE).element
    return replace(element, state=tuple(replace(it, consistency=Consistency.STRONG) for it in element.state))


class Several(ChainInstance):
    """Instances behind one face: each call goes to one of them, as drawn, and stays there. Calls are numbered here."""

    def __init__(self, element: Element, clock: Clock, source: random.Random, count: int) -> None:
        self._source, store = source, Store()
        environment = Environment(clock, seed=7, backend_count=3, coupled=True)
        self.chains = [ChainInstance([element], environment, store=store, number=it) for it in range(count)]
        if count == 1:  # the sequential specification: no store at all
            self.chains = [ChainInstance([element], environment)]
        self._at: dict[int, ChainInstance] = {}
        self._noted = [len(it.records()) for it in self.chains]

    def recorded(self) -> list[str]:
        """What handlers have recorded, sorted: `init` records in each instance."""
        both = zip(self.chains, self._noted, strict=True)
        return sorted(str(it) for chain, before in both for it in chain.records()[before:])

    def request(self, rpc: Rpc) -> Outcome:
        rpc.rpc_id = len(self._at) + 1
        chain = self._at[rpc.rpc_id] = self._source.choice(self.chains)
        return chain.request(rpc)

    def response(self, rpc: Rpc, status: int) -> Outcome:
        return self._at[rpc.rpc_id].response(rpc, status)

    def end(self, rpc: Rpc, status: int | None = None) -> None:
        self._at[rpc.rpc_id].end(rpc, status)


def _seen(element: Element, seed: int, count: int) -> tuple[object, Several]:
    """What came of each step, and the records; and the instances."""
    clock = Clock()
    several = Several(element, clock, random.Random(seed), count)
    steps = [
        (str(outcome), str(rpc.message), str(rpc.metadata))
        for _, _, rpc, outcome in run(several, clock, make_traffic(seed, 15))
    ]
    return (steps, several.recorded()), several


@pytest.mark.parametrize("seed", range(SEEDS))
def test_strong_instances_are_one(seed: int) -> None:
    element = declared(make_program(random.Random(seed), whole=seed % 2 == 1))
    if {"get_load", "estimate_RIF_distribution"} & {it.name for it in one_state(element)}:
        pytest.skip("it counts the calls of its instance, which are no state")
    expected, one = _seen(element, seed, 1)
    found, several = _seen(element, seed, random.Random(seed).randint(2, 4))
    for chain in several.chains * 2:
        chain.merge()
    for it in element.state:
        if it.state_class is StateClass.GENERAL or (it.state_class is StateClass.COUNTER and it.type != FLOAT):
            states = {str(chain.state_of("it")[it.name]) for chain in several.chains}
            assert states == {str(one.chains[0].state_of("it")[it.name])}
    assert found == expected


# --- weak ---

Write = tuple[str, int]
"""A key and a number."""


def _sum(writes: list[Write]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for key, number in writes:
        found[key] += number
    return dict(found)


def _extreme(better: Callable[[int, int], int]) -> Callable[[list[Write]], dict[str, int]]:
    def of(writes: list[Write]) -> dict[str, int]:
        found: dict[str, int] = {}
        for key, number in writes:
            found[key] = better(found.get(key, number), number)
        return found

    return of


def _last(writes: list[Write]) -> dict[str, int]:
    """The last write of each key; 0 deletes."""
    return {key: number for key, number in dict(writes).items() if number}


SET = "set(x, get(rpc, 'body'), NUMBER)"
MODELS: dict[str, tuple[str, Callable[[list[Write]], dict[str, int]]]] = {
    "sum": ("set(x, get(rpc, 'body'), get(x, get(rpc, 'body'), 0) + NUMBER)", _sum),
    "max": ("n = NUMBER\nset(x, get(rpc, 'body'), max(get(x, get(rpc, 'body'), n), n))", _extreme(max)),
    "min": ("n = NUMBER\nset(x, get(rpc, 'body'), min(get(x, get(rpc, 'body'), n), n))", _extreme(min)),
    "LWW": (f"if NUMBER == 0:\n    delete(x, get(rpc, 'body'))\nelse:\n    {SET}", _last),
}


class Weak:
    """Instances with what each has written and not merged, and with what is merged."""

    def __init__(self, combiner: str, req: str, type_: str, source: random.Random) -> None:
        state = f"@consistency(weak) @combiner({combiner}) @persistence(true)\nx: {type_}"
        number = "(to_int(len(get_metadata(rpc, 'n'))) - 9)"
        text = program(req.replace("NUMBER", number), state=state)
        self._element = compile_element(TextSource(Path("it.appnet"), text), ECHO).element
        self._source, self._store, self._now = source, Store(), 0
        self._chains = [self._begun(it) for it in range(source.randint(2, 4))]
        self._pending: list[list[tuple[int, Write]]] = [[] for _ in self._chains]
        self.merged: list[tuple[int, Write]] = []

    def _begun(self, number: int) -> ChainInstance:
        return ChainInstance([self._element], Environment(lambda: self._now), store=self._store, number=number)

    def run(self, least: int) -> None:
        for _ in range(self._source.randint(5, 40)):
            self._now += 1
            number = self._source.randrange(len(self._chains))
            match self._source.choices(("call", "merge", "kill", "store"), (6, 3, 1, 1))[0]:
                case "call":
                    write = self._source.choice("abc"), self._source.randint(least, 5)
                    metadata = {"n": b"n" * (write[1] + 9)}
                    self._chains[number].request(Rpc(ECHO, {"Body": write[0].encode()}, metadata))
                    self._pending[number].append((self._now, write))
                case "merge":
                    self._merge(number)
                case "kill":
                    self._store.leave(number)
                    self._chains[number], self._pending[number] = self._begun(number), []
                case "store":
                    self._store.away = not self._store.away

    def _merge(self, number: int) -> None:
        self._chains[number].merge()
        if not self._store.away:
            self.merged += self._pending[number]
            self._pending[number] = []

    def copies(self) -> list[Any]:
        """Of each instance, once all have merged."""
        self._store.away = False
        for number in [*range(len(self._chains))] * 2:
            self._merge(number)
        return [chain.state_of("it")["x"] for chain in self._chains]

    def writes(self) -> list[Write]:
        """What was merged, in the order of the clock."""
        return [write for _, write in sorted(self.merged)]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("combiner", MODELS)
def test_copies_become_what_all_writes_make(combiner: str, seed: int) -> None:
    req, model = MODELS[combiner]
    them = Weak(combiner, req, "Map<string, int>", random.Random(seed))
    them.run(least=0 if combiner == "LWW" else -5)
    copies = them.copies()
    expected = {key.encode(): number for key, number in model(them.writes()).items()}
    assert copies == [expected] * len(copies)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_united_vecs_have_what_all_have_put_in(seed: int) -> None:
    req = "set(x, size(x), get(rpc, 'body'))\nif size(x) > 1000:\n    send(err('no'), Up)"
    them = Weak("union", req, "Vec<string>", random.Random(seed))
    them.run(least=1)
    first, *others = them.copies()
    assert Counter(first) == Counter(key.encode() for key, _ in them.writes())
    assert others == [first] * len(others)
