"""How a chain is cut into modules is never seen: what comes of calls is the same for every cut."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import pytest

from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Rpc
from appnet.ir.nodes import Element
from tests.optimize.chains import KV, PARTS, element_of
from tests.support.edge import make_fields, make_metadata, plain

_ALONE = {"loads"}  # each module counts what it sends on its own


class Modules:
    """The elements in one module for each group, in request order."""

    def __init__(self, groups: Sequence[Sequence[Element]]) -> None:
        self._now = 0
        environment = Environment(self._tick, seed=5, backend_count=3, coupled=True)
        self._modules = [ChainInstance(it, environment) for it in groups]
        self._passed: dict[int, list[int]] = {}

    def _tick(self) -> int:
        return self._now

    def request(self, rpc: Rpc, now: int) -> Outcome:
        self._now = now
        passed = self._passed[id(rpc)] = []
        for number, module in enumerate(self._modules):
            outcome = module.request(rpc)
            if not isinstance(outcome, Forwarded):
                return self._back(rpc, number, outcome)
            passed.append(rpc.forwarded)
        return Forwarded({})

    def response(self, rpc: Rpc, status: int, now: int) -> Outcome:
        self._now = now
        for number in reversed(range(len(self._modules))):
            rpc.forwarded = self._passed[id(rpc)][number]
            outcome = self._modules[number].response(rpc, status)
            if not isinstance(outcome, Forwarded):
                return self._back(rpc, number, outcome)
        return Forwarded({})

    def _back(self, rpc: Rpc, before: int, outcome: Outcome) -> Outcome:
        """What the modules before make of it."""
        for number in reversed(range(before)):
            assert not isinstance(outcome, Forwarded)
            rpc.forwarded = self._passed[id(rpc)][number]
            outcome = self._modules[number].passed_back(rpc, outcome)
        return outcome

    def left(self) -> str:
        states = {it.name: module.state_of(it.name) for module in self._modules for it in module.elements()}
        return repr((states, sorted(it for module in self._modules for it in map(repr, module.records()))))


def cuts(elements: Sequence[Element]) -> Iterator[list[Sequence[Element]]]:
    """Every way to cut the chain."""
    for count in range(len(elements)):
        for at in combinations(range(1, len(elements)), count):
            yield [elements[start:end] for start, end in pairwise([0, *at, len(elements)])]


def came_of(modules: Modules, seed: int) -> list[str]:
    """All that can be told of random calls."""
    source, seen, flying = random.Random(seed), [], []
    for now in range(0, 40_000_000_000, 1_000_000_000):
        if flying and source.random() < 0.5:
            rpc, status = flying.pop(source.randrange(len(flying))), source.choice((0, 0, 5))
            rpc.message = {} if status else make_fields(source)
            rpc.response_metadata = make_metadata(source, ("x-a", "x-c"))
            outcome = modules.response(rpc, status, now)
            seen.append(f"{_kind(outcome)} {plain(rpc.message)} {plain(rpc.response_metadata)}")
        else:
            rpc = Rpc(KV, make_fields(source), make_metadata(source, ("x-a", "x-b")))
            outcome = modules.request(rpc, now)
            flying += [rpc] if isinstance(outcome, Forwarded) else []
            sent = f"{plain(rpc.message)} {plain(rpc.metadata)} {rpc.destination} {rpc.wait_ms} {rpc.rpc_id}"
            seen.append(f"{_kind(outcome)} {sent if isinstance(outcome, Forwarded) else ''}")
    return [*seen, modules.left()]


def _kind(outcome: Outcome) -> str:
    return "passes" if isinstance(outcome, Forwarded) else repr(outcome)


@pytest.mark.parametrize("seed", range(40))
def test_no_cut_is_told(seed: int) -> None:
    source = random.Random(seed)
    names = [it for it in PARTS if it not in _ALONE]
    elements = [element_of(name, *source.sample(names, 2)) for name in "abcd"]
    whole, *others = (came_of(Modules(it), seed) for it in cuts(elements))
    assert len(others) == 7
    for it in others:
        assert it == whole
