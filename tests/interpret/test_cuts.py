"""How a chain is cut into modules is never seen: what comes of calls is the same for every cut."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

import pytest

from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Rpc
from appnet.ir.nodes import Element
from appnet.ir.stages import headers_come_ahead, holds_headers
from tests.optimize.chains import KV, PARTS, element_of
from tests.support.edge import make_fields, make_metadata, plain

_ALONE = {"loads"}  # each module counts what it sends on its own


@dataclass
class Call:
    """A call on its way. ``rpcs``: what each module has of it."""

    fields: dict[str, Any]
    metadata: dict[str, bytes]
    answer_metadata: dict[str, bytes] = field(default_factory=dict)
    destination: int | None = None
    rpcs: list[Rpc] = field(default_factory=list)


class Modules:
    """The elements in one module for each group, in request order."""

    def __init__(self, groups: Sequence[Sequence[Element]]) -> None:
        self._now = 0
        environment = Environment(self._tick, seed=5, backend_count=3, coupled=True)
        self._modules = []
        before: list[Element] = []
        for it in groups:
            self._modules.append(ChainInstance(it, environment, ahead=headers_come_ahead(before, KV)))
            before += it

    def _tick(self) -> int:
        return self._now

    def request(self, call: Call, now: int) -> Outcome:
        """The headers reach each module when the one before lets them go, and then the message passes them."""
        self._now = now
        call.rpcs = [Rpc(KV) for _ in self._modules]
        opened = 0
        for number, module in enumerate(self._modules):
            while opened < len(self._modules) and (opened <= number or not self._holds(call, opened - 1)):
                outcome = self._with(call, opened, self._modules[opened].open)
                if not isinstance(outcome, Forwarded):
                    return self._back(call, opened, outcome)
                opened += 1
            outcome = self._with(call, number, module.request)
            if not isinstance(outcome, Forwarded):
                return self._back(call, number, outcome)
        return Forwarded({})

    def _holds(self, call: Call, number: int) -> bool:
        """Whether the headers wait in the module."""
        return any(holds_headers(it) for it in self._modules[number].elements()[call.rpcs[number].begun :])

    def response(self, call: Call, status: int, now: int) -> Outcome:
        self._now = now
        for number in reversed(range(len(self._modules))):
            outcome = self._with(call, number, lambda rpc, it=self._modules[number]: it.response(rpc, status))
            if not isinstance(outcome, Forwarded):
                return self._back(call, number, outcome)
        return Forwarded({})

    def _with(self, call: Call, number: int, judge: Callable[[Rpc], Outcome]) -> Outcome:
        """The module judges the call, of which it has a view of its own; what is the call's own is handed on."""
        rpc = call.rpcs[number]
        rpc.rpc_id, rpc.message, rpc.metadata = call.rpcs[0].rpc_id, call.fields, call.metadata
        rpc.response_metadata = call.answer_metadata
        outcome = judge(rpc)
        if rpc.routed:
            call.destination = rpc.destination
        return outcome

    def _back(self, call: Call, before: int, outcome: Outcome) -> Outcome:
        """What the modules before make of it."""
        for number in reversed(range(before)):
            assert not isinstance(outcome, Forwarded)
            outcome = self._modules[number].passed_back(call.rpcs[number], outcome)
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
    source = random.Random(seed)
    seen: list[str] = []
    flying: list[Call] = []
    for now in range(0, 40_000_000_000, 1_000_000_000):
        if flying and source.random() < 0.5:
            call, status = flying.pop(source.randrange(len(flying))), source.choice((0, 0, 5))
            call.fields = {} if status else make_fields(source)
            call.answer_metadata = make_metadata(source, ("x-a", "x-c"))
            outcome = modules.response(call, status, now)
            seen.append(f"{_kind(outcome)} {plain(call.fields)} {plain(call.answer_metadata)}")
        else:
            call = Call(make_fields(source), make_metadata(source, ("x-a", "x-b")))
            outcome = modules.request(call, now)
            flying += [call] if isinstance(outcome, Forwarded) else []
            wait = sum(it.wait_ms for it in call.rpcs)
            sent = f"{plain(call.fields)} {plain(call.metadata)} {call.destination} {wait} {call.rpcs[0].rpc_id}"
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
