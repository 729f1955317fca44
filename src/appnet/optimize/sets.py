"""The cheapest arrangement of a short chain, by the sets of elements that a request may have passed.

What comes after a set costs the same whatever the order within it, so of each set only the cheapest order counts: at
most 2^n sets for a place instead of n! orders, and far fewer where pairs keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from appnet.optimize.chain_cost import ChainCosts
from appnet.optimize.cost import Costs, entering
from appnet.optimize.problem import Problem

SCALE = 1_000_000
"""Costs are whole numbers while they are compared: picoseconds."""


@dataclass(frozen=True, slots=True)
class _Way:
    """The cheapest way through a set. ``value``: cost, then moves.

    ``ends``: how many of ``order`` a request has passed as it leaves each place before.
    """

    value: int
    order: tuple[int, ...]
    ends: tuple[int, ...]


_Ways = list[dict[int, _Way]]
"""By the number of elements that were passed, and then by the set of them."""


@dataclass(frozen=True)
class _Module:
    """A module that a place may have. ``allowed``: the set of elements that may be in it.

    ``enter``: what it costs, where a set was passed before; ``leave``: where a set was passed with it.
    """

    allowed: int
    enter: Callable[[int], float]
    leave: Callable[[int], float]


def by_sets(problem: Problem, costs: ChainCosts) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Order and places that cost least, moved least among those that cost the same; None where nothing is legal."""
    found = _Sets(problem, costs).run()
    if found is None:
        return None
    at = [0] * len(found.order)
    for number, it in enumerate(found.order):
        at[it] = sum(number >= end for end in found.ends)
    return found.order, tuple(at)


class _Sets:
    def __init__(self, problem: Problem, costs: ChainCosts) -> None:
        self._costs, self._elements = costs, costs.elements
        numbers = range(len(self._elements))
        self._all = (1 << len(self._elements)) - 1
        self._unit = len(self._elements) * (len(self._elements) + 1) // 2 + 1  # more than all moves
        self._before = [sum(1 << i for i, other in problem.kept if other == j) for j in numbers]
        self._suiting = [
            sum(1 << it for it in numbers if place in problem.suits[it]) for place in range(len(costs.places))
        ]
        self._reads = (
            sum(1 << it for it in numbers if self._elements[it].reads_request),
            sum(1 << it for it in numbers if self._elements[it].reads_response),
        )
        self._entering = [
            {
                (request, response): entering([Costs((), 1.0, request, response)], place.prices)
                for request in (False, True)
                for response in (False, True)
            }
            for place in costs.places
        ]
        self._moved = [[int(written != place) for written in problem.written] for place in range(len(costs.places))]
        self._alive = {0: 1.0}

    def run(self) -> _Way | None:
        ways: _Ways = [{} for _ in range(len(self._elements) + 1)]
        ways[0][0] = _Way(0, (), ())
        for place in range(len(self._costs.places)):
            if place == self._costs.first_at_server:
                ways = self._each(ways, lambda passed: self._alive[passed] * self._costs.crossing)
            if place:
                ways = [
                    {passed: _Way(it.value, it.order, (*it.ends, len(it.order))) for passed, it in found.items()}
                    for found in ways
                ]
            ways = self._through(place, ways)
        return ways[-1].get(self._all)

    def _each(self, ways: _Ways, cost: Callable[[int], float]) -> _Ways:
        """The ways, each costing more by what its set says."""
        return [{passed: self._dearer(it, cost(passed)) for passed, it in found.items()} for found in ways]

    def _dearer(self, way: _Way, cost: float) -> _Way:
        return _Way(way.value + round(cost * SCALE) * self._unit, way.order, way.ends) if cost else way

    def _through(self, place: int, before: _Ways) -> _Ways:
        """The ways behind the place: past it, or through a module there."""
        after: _Ways = [dict(it) for it in before]
        for module in self._modules(place):
            here: dict[int, _Way] = {}
            for size in range(len(before)):
                here = self._further(here, place, module.allowed)
                for passed, way in here.items():
                    left = self._dearer(way, module.leave(passed))
                    if passed not in after[size] or left.value <= after[size][passed].value:
                        after[size][passed] = left
                for passed, way in before[size].items():
                    entered = self._dearer(way, module.enter(passed))
                    if passed not in here or entered.value < here[passed].value:
                        here[passed] = entered
        return after

    def _modules(self, place: int) -> Iterator[_Module]:
        """The modules to try. A module's readers of messages decide what entering it costs each RPC that gets there.

        In the last place, and in the first, they follow from the set that was passed before or with it; between the
        two, what a module may read is chosen as it is entered.
        """
        suiting = self._suiting[place]
        if place == len(self._costs.places) - 1:
            yield _Module(
                suiting, lambda passed: self._alive[passed] * self._shared(place, self._all & ~passed), lambda _: 0.0
            )
        elif place == 0:
            yield _Module(suiting, lambda _: 0.0, lambda passed: self._shared(place, passed))
        else:
            requests, responses = (suiting & it for it in self._reads)
            for allowed in {suiting & ~without for without in (0, requests, responses, requests | responses)}:
                if allowed:
                    yield _Module(allowed, partial(self._enters, self._shared(place, allowed)), lambda _: 0.0)

    def _enters(self, shared: float, passed: int) -> float:
        return self._alive[passed] * shared

    def _further(self, ways: dict[int, _Way], place: int, allowed: int) -> dict[int, _Way]:
        """The ways with one more element of those allowed, which runs in this place."""
        found: dict[int, _Way] = {}
        for passed, way in ways.items():
            for it, costs in enumerate(self._elements):
                bit = 1 << it
                if passed & bit or self._before[it] & ~passed or not bit & allowed:
                    continue
                alive = self._alive[passed]
                moves = (passed >> it).bit_count() + self._moved[place][it]
                value = way.value + round(alive * costs.own[place] * SCALE) * self._unit + moves
                there = found.get(passed | bit)
                if there is None or value < there.value:
                    self._alive[passed | bit] = alive * costs.keeps
                    found[passed | bit] = _Way(value, (*way.order, it), way.ends)
        return found

    def _shared(self, place: int, here: int) -> float:
        """What the elements in a place share; nothing where there are none."""
        request, response = self._reads
        return self._entering[place][bool(here & request), bool(here & response)] if here else 0.0
