"""The cheapest arrangement of a short chain, by the sets of elements that a request may have passed.

What comes after a set costs the same whatever the order within it, so of each set only the cheapest order counts: at
most 2^n sets for a place instead of n! orders, and far fewer where pairs keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

    ``modules``: the place of each module on it, and how many elements of ``order`` a request has passed before.
    """

    value: int
    order: tuple[int, ...]
    modules: tuple[tuple[int, int], ...]


_Ways = list[dict[int, _Way]]
"""By the number of elements that were passed, and then by the set of them."""


@dataclass(frozen=True, slots=True)
class _Element:
    """An element in a place. ``bit``: the set of it alone; ``before``: of those that have to come before it."""

    number: int
    bit: int
    before: int
    own: float
    keeps: float
    moved: bool


@dataclass(frozen=True, slots=True)
class _Module:
    """A module that a place may have. ``elements``: those that may be in it.

    ``enter``: what it costs, where a set was passed before; ``leave``: where a set was passed with it.
    """

    elements: Sequence[_Element]
    enter: Callable[[int], float]
    leave: Callable[[int], float] | None = None


def by_sets(problem: Problem, costs: ChainCosts) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Order and places that cost least, moved least among those that cost the same; None where nothing is legal."""
    found = _Sets(problem, costs).run()
    if found is None:
        return None
    at = [0] * len(found.order)
    for place, start in found.modules:
        for it in found.order[start:]:
            at[it] = place
    return found.order, tuple(at)


class _Sets:
    def __init__(self, problem: Problem, costs: ChainCosts) -> None:
        self._problem, self._costs, self._elements = problem, costs, costs.elements
        numbers = range(len(self._elements))
        self._all = (1 << len(self._elements)) - 1
        self._unit = len(self._elements) * (len(self._elements) + 1) // 2 + 1  # more than all moves
        self._before = [sum(1 << i for i, other in problem.kept if other == j) for j in numbers]
        self._reads = (
            sum(1 << it for it in numbers if self._elements[it].reads_request),
            sum(1 << it for it in numbers if self._elements[it].reads_response),
        )
        self._entering: dict[tuple[int, bool, bool], float] = {}
        self._alive = {0: 1.0}

    def run(self) -> _Way | None:
        ways: _Ways = [{} for _ in range(len(self._elements) + 1)]
        ways[0][0] = _Way(0, (), ())
        for place in range(len(self._costs.places)):
            ways = self._through(place, ways)
        return ways[-1].get(self._all)

    def _through(self, place: int, before: _Ways) -> _Ways:
        """The ways behind the place: through a module there, or past it."""
        way_in = self._costs.way(place)
        after: _Ways = [{} for _ in before]
        last = place == len(self._costs.places) - 1
        for module in self._modules(place, way_in):
            here: dict[int, _Way] = {}
            for size, reached in enumerate(before):
                here = self._further(here, module.elements)
                if not last or size == len(self._elements):  # behind the last place all have been passed
                    self._leave(here, module.leave, after[size])
                for passed, way in reached.items():
                    value = way.value + self._counted(module.enter(passed))
                    if passed not in here or value < here[passed].value:
                        here[passed] = _Way(value, way.order, (*way.modules, (place, len(way.order))))
        for size, reached in enumerate(before):
            if not last or size == len(self._elements):
                self._leave(reached, partial(self._lessened, way_in) if way_in else None, after[size])
        return after

    def _leave(self, here: dict[int, _Way], costs: Callable[[int], float] | None, after: dict[int, _Way]) -> None:
        """Adds the ways out of a place, which cost so much for each set, to those behind it."""
        for passed, way in here.items():
            cost = costs(passed) if costs is not None else 0.0
            left = _Way(way.value + self._counted(cost), way.order, way.modules) if cost else way
            there = after.get(passed)
            if there is None or left.value < there.value:
                after[passed] = left

    def _modules(self, place: int, way_in: float) -> Iterator[_Module]:
        """The modules to try. A module's readers of messages decide what entering it costs each RPC that gets there.

        In the last place, and in the first, they follow from the set that was passed before or with it; between the
        two, what a module may read is chosen as it is entered. ``way_in``: what the way there costs.
        """
        suiting = [self._in(place, it) for it in range(len(self._elements)) if place in self._problem.suits[it]]
        if place == len(self._costs.places) - 1:
            yield _Module(
                suiting, lambda passed: self._alive[passed] * (way_in + self._shared(place, self._all & ~passed))
            )
        elif place == 0:
            yield _Module(suiting, lambda _: way_in, lambda passed: self._shared(place, passed))
        else:
            requests, responses = self._reads
            for without in {
                sum(it.bit for it in suiting) & it for it in (0, requests, responses, requests | responses)
            }:
                allowed = [it for it in suiting if not it.bit & without]
                shared = way_in + self._shared(place, sum(it.bit for it in allowed))
                yield _Module(allowed, partial(self._lessened, shared))

    def _in(self, place: int, it: int) -> _Element:
        costs = self._elements[it]
        moved = self._problem.written[it] != place
        return _Element(it, 1 << it, self._before[it], costs.own[place], costs.keeps, moved)

    def _lessened(self, cost: float, passed: int) -> float:
        """What it costs the RPCs that have passed a set."""
        return cost * self._alive[passed]

    def _further(self, ways: dict[int, _Way], elements: Sequence[_Element]) -> dict[int, _Way]:
        """The ways with one more of these elements."""
        found: dict[int, _Way] = {}
        unit = self._unit
        for passed, way in ways.items():
            alive = self._alive[passed]
            for it in elements:
                if passed & it.bit or it.before & ~passed:
                    continue
                moves = (passed >> it.number).bit_count() + it.moved
                value = way.value + round(alive * it.own * SCALE) * unit + moves
                now = passed | it.bit
                there = found.get(now)
                if there is None or value < there.value:
                    self._alive[now] = alive * it.keeps
                    found[now] = _Way(value, (*way.order, it.number), way.modules)
        return found

    def _counted(self, cost: float) -> int:
        return round(cost * SCALE) * self._unit

    def _shared(self, place: int, here: int) -> float:
        """What the elements in a place share; nothing where there are none."""
        if not here:
            return 0.0
        request, response = self._reads
        key = (place, bool(here & request), bool(here & response))
        if key not in self._entering:
            self._entering[key] = entering([Costs((), 1.0, *key[1:])], self._costs.places[place].prices)
        return self._entering[key]
