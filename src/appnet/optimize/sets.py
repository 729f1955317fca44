"""The cheapest arrangement of a short chain, by the sets of elements that a request may have passed.

What comes after a set costs the same whatever the order within it, so of each set only the cheapest order counts: at
most 2^n sets instead of n! orders, and far fewer where pairs keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appnet.application.model import Side
from appnet.optimize.cost import CostModel, Costs, entering
from appnet.optimize.problem import Problem

SCALE = 1_000_000
"""Costs are whole numbers while they are compared: picoseconds."""


@dataclass(frozen=True, slots=True)
class _Way:
    """The cheapest way through a set. ``value``: cost, then moves; ``at_client``: how many of ``order`` run there."""

    value: int
    order: tuple[int, ...]
    at_client: int


def by_sets(
    problem: Problem, costs: Sequence[Costs], model: CostModel, target: str
) -> tuple[tuple[int, ...], tuple[Side, ...]] | None:
    """Order and sides that cost least, moved least among those that cost the same; None where nothing is legal."""
    search = _Sets(problem, costs, model, target)
    found = search.run()
    if found is None:
        return None
    at_client = set(found.order[: found.at_client])
    sides = tuple(Side.CLIENT if it in at_client else Side.SERVER for it in range(len(costs)))
    return found.order, sides


class _Sets:
    """Sets are bits of a number, one for each element."""

    def __init__(self, problem: Problem, costs: Sequence[Costs], model: CostModel, target: str) -> None:
        self._problem, self._costs, self._crossing = problem, costs, model.crossing
        numbers = range(len(costs))
        self._all = (1 << len(costs)) - 1
        self._unit = len(costs) * (len(costs) + 1) // 2 + 1  # more than all moves
        self._before = [sum(1 << i for i, other in problem.kept if other == j) for j in numbers]
        self._reads = (
            sum(1 << it for it in numbers if costs[it].reads_request),
            sum(1 << it for it in numbers if costs[it].reads_response),
        )
        prices = model.targets[target]
        self._entering = {
            (request, response): entering([Costs(0.0, 1.0, request, response)], prices)
            for request in (False, True)
            for response in (False, True)
        }
        self._alive = {0: 1.0}

    def run(self) -> _Way | None:
        client: dict[int, _Way] = {0: _Way(0, (), 0)}
        server: dict[int, _Way] = {}
        for _ in range(len(self._costs) + 1):
            for passed, way in client.items():
                crossed = _Way(way.value + self._cross(passed), way.order, len(way.order))
                if passed not in server or crossed.value < server[passed].value:
                    server[passed] = crossed
            if self._all in server:
                break
            client, server = self._further(client, Side.CLIENT), self._further(server, Side.SERVER)
        return server.get(self._all)

    def _further(self, ways: dict[int, _Way], side: Side) -> dict[int, _Way]:
        """The ways with one more element, which runs on this side."""
        found: dict[int, _Way] = {}
        for passed, way in ways.items():
            for it, costs in enumerate(self._costs):
                bit = 1 << it
                if passed & bit or self._before[it] & ~passed or self._problem.sides[it] not in (None, side):
                    continue
                alive = self._alive[passed]
                moves = (passed >> it).bit_count() + (self._problem.written_sides[it] is not side)
                value = way.value + round(alive * costs.own * SCALE) * self._unit + moves
                there = found.get(passed | bit)
                if there is None or value < there.value:
                    self._alive[passed | bit] = alive * costs.keeps
                    found[passed | bit] = _Way(value, (*way.order, it), way.at_client)
        return found

    def _cross(self, passed: int) -> int:
        """What it costs that the elements of a set are all that run on the client's side."""
        behind = self._alive[passed] * (self._crossing + self._shared(self._all & ~passed))
        return (round(self._shared(passed) * SCALE) + round(behind * SCALE)) * self._unit

    def _shared(self, here: int) -> float:
        """What the elements of a side share; nothing where there are none."""
        request, response = self._reads
        return self._entering[bool(here & request), bool(here & response)] if here else 0.0
