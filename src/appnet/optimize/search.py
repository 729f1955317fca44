"""The legal arrangement of a chain that costs least, exactly, or a good one by rules of thumb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, TypeAlias

from appnet.application.model import Side
from appnet.optimize.cost import CostModel, Costs, entering, expected_cost
from appnet.optimize.problem import Problem
from appnet.optimize.sets import SCALE, by_sets

_SHORT = 10  # elements of a chain whose sets are fewer than what a solver has to be told
_MOST_DROPPERS = 8  # elements whose refusals count; of more, those that refuse most
_SECONDS = 10.0

Linear: TypeAlias = Any
"""A linear expression over the solver's variables."""


@dataclass(frozen=True)
class Arrangement:
    """``order``: numbers of the problem's elements in request order; ``sides``: of each element, by its number."""

    order: tuple[int, ...]
    sides: tuple[Side, ...]


def inverted(order: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs (i, j), i before j as written, that stand the other way round."""
    return [(j, i) for i, j in combinations(order, 2) if j < i]


def as_written(problem: Problem) -> Arrangement:
    """Nothing moved."""
    return Arrangement(tuple(range(len(problem.sides))), problem.written_sides)


def cheapest(problem: Problem, costs: Sequence[Costs], model: CostModel, target: str) -> Arrangement:
    """The legal arrangement of the least expected cost; of those that cost the same, the one least moved."""
    if len(problem.sides) < 2 and None not in problem.sides:
        return as_written(problem)
    if len(problem.sides) > _SHORT:
        return by_constraints(problem, costs, model, target)
    found = by_sets(problem, costs, model, target)
    return as_written(problem) if found is None else Arrangement(*found)


def by_constraints(problem: Problem, costs: Sequence[Costs], model: CostModel, target: str) -> Arrangement:
    """The same for a chain of any length, by OR-tools' CP-SAT, which takes tens of milliseconds for a short one."""
    return _Search(problem, costs, model, target).solve()


def by_rules(problem: Problem, costs: Sequence[Costs], model: CostModel, target: str) -> Arrangement:
    """The public AppNet's rules of thumb: what refuses most for its cost goes first, and sides are used sparingly."""
    sides = _fewest_sides(problem)
    order: list[int] = []
    left = set(range(len(problem.sides)))
    while left:
        free = [it for it in left if not any((other, it) in problem.kept for other in left)]
        here = [it for it in free if sides[it] is Side.CLIENT] or free
        best = max(here, key=lambda it: ((1 - costs[it].keeps) / (costs[it].own + 1e-9), -it))
        order.append(best)
        left.remove(best)
    arrangement = Arrangement(tuple(order), sides)
    written = as_written(problem)
    if not problem.is_legal(arrangement.order, arrangement.sides):
        return written
    return min((written, arrangement), key=lambda it: expected_cost(costs, it.order, it.sides, model, target))


def _fewest_sides(problem: Problem) -> tuple[Side, ...]:
    """Elements that may run anywhere join the side that has elements of its own; the client's, where both have."""
    home = Side.CLIENT if Side.CLIENT in problem.sides or Side.SERVER not in problem.sides else Side.SERVER
    sides = [side or home for side in problem.sides]
    for _ in sides:  # what has to come after an element of the server's side is there, too
        for i, j in problem.kept:
            if sides[i] is Side.SERVER and problem.sides[j] is None:
                sides[j] = Side.SERVER
    return tuple(sides)


def exhaustive(problem: Problem, costs: Sequence[Costs], model: CostModel, target: str) -> Arrangement:
    """The same as `cheapest` by looking at every legal arrangement: for tests, as it takes n! times 2^n steps."""
    count = len(problem.sides)
    found: list[tuple[float, Arrangement]] = []
    for order in permutations(range(count)):
        for split in range(count + 1):  # the first ``split`` run on the client's side
            sides = [Side.SERVER] * count
            for it in order[:split]:
                sides[it] = Side.CLIENT
            if problem.is_legal(order, sides):
                found.append((expected_cost(costs, order, sides, model, target), Arrangement(order, tuple(sides))))
    return min(found, key=lambda it: it[0])[1]


class _Search:
    """The model: for each pair which comes first, for each element whether it is on the server's side.

    What an RPC costs at an element depends on which refusing elements it has passed, and on nothing else, so the cost
    is looked up in a table with a place for every set of them.
    """

    def __init__(self, problem: Problem, costs: Sequence[Costs], model: CostModel, target: str) -> None:
        from ortools.sat.python import cp_model  # noqa: PLC0415 -- takes half a second, which most commands need not pay

        self._cp = cp_model
        self._model: Any = cp_model.CpModel()
        self._problem, self._costs, self._prices = problem, costs, model.targets[target]
        self._crossing = model.crossing
        numbers = range(len(problem.sides))
        self._first = {pair: self._model.new_bool_var(f"{pair}") for pair in combinations(numbers, 2)}
        self._server = [self._model.new_bool_var(f"side {it}") for it in numbers]
        refusing = sorted((it for it in numbers if costs[it].keeps < 1), key=lambda it: costs[it].keeps)
        self._droppers = refusing[:_MOST_DROPPERS]

    def solve(self) -> Arrangement:
        self._keep_order()
        self._keep_sides()
        numbers = range(len(self._problem.sides))
        cost = sum(self._cost_of(it) for it in numbers) + self._shared_cost()
        moved = [1 - first for first in self._first.values()]
        moved += [
            1 - on_server if written is Side.SERVER else on_server
            for on_server, written in zip(self._server, self._problem.written_sides, strict=True)
        ]
        self._model.minimize((len(moved) + 1) * cost + sum(moved))
        solver = self._cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_time_in_seconds = _SECONDS
        status = solver.solve(self._model)
        if status not in (self._cp.OPTIMAL, self._cp.FEASIBLE):
            return as_written(self._problem)
        before = {it: sum(solver.value(self._before(other, it)) for other in numbers if other != it) for it in numbers}
        sides = tuple(Side.SERVER if solver.value(it) else Side.CLIENT for it in self._server)
        return Arrangement(tuple(sorted(numbers, key=before.__getitem__)), sides)

    def _before(self, i: int, j: int) -> Linear:
        """Whether i comes before j."""
        return self._first[i, j] if i < j else 1 - self._first[j, i]

    def _keep_order(self) -> None:
        for i, j in self._problem.kept:
            self._model.add(self._first[i, j] == 1)
        for i, j, k in combinations(range(len(self._problem.sides)), 3):
            around = self._first[i, j] + self._first[j, k] - self._first[i, k]
            self._model.add_linear_constraint(around, 0, 1)  # no circles

    def _keep_sides(self) -> None:
        for it, side in enumerate(self._problem.sides):
            if side is not None:
                self._model.add(self._server[it] == (side is Side.SERVER))
        for i, j in self._first:  # what comes after an element of the server's side is on the server's side
            self._model.add(self._server[i] + self._first[i, j] - self._server[j] <= 1)
            self._model.add(self._server[j] + 1 - self._first[i, j] - self._server[i] <= 1)

    def _cost_of(self, it: int) -> Linear:
        passed = [other for other in self._droppers if other != it]
        place = sum(self._before(other, it) * 2**bit for bit, other in enumerate(passed))
        return self._looked_up(place, [self._costs[it].own * share for share in self._shares(passed)])

    def _shared_cost(self) -> Linear:
        """Of the modules of both sides, and of the way between them."""
        on_client = [1 - it for it in self._server]
        at_client = self._uses(on_client)
        at_server = self._uses(self._server)
        width = len(self._droppers)
        left = sum(on_client[other] * 2**bit for bit, other in enumerate(self._droppers))
        used = [self._entering(pattern) for pattern in range(8)]
        shares = self._shares(self._droppers)
        behind = [share * (self._crossing + entry) for entry in used for share in shares]
        return self._looked_up(at_client, used) + self._looked_up(left + at_server * 2**width, behind)

    def _uses(self, here: Sequence[Linear]) -> Linear:
        """What the elements of one side need, as bits: a module, the request's message, the response's message."""
        needs = (
            list(here),
            [it for it, costs in zip(here, self._costs, strict=True) if costs.reads_request],
            [it for it, costs in zip(here, self._costs, strict=True) if costs.reads_response],
        )
        bits = [self._model.new_bool_var("") for _ in needs]
        for bit, which in zip(bits, needs, strict=True):
            self._model.add_max_equality(bit, which or [0])
        return sum(bit * 2**number for number, bit in enumerate(bits))

    def _entering(self, pattern: int) -> float:
        if not pattern & 1:
            return 0.0
        return entering([Costs(0.0, 1.0, bool(pattern & 2), bool(pattern & 4))], self._prices)

    def _shares(self, droppers: Sequence[int]) -> list[float]:
        """The share of RPCs left behind each set of these elements, by the set's bits."""
        shares = [1.0]
        for it in droppers:
            shares += [share * self._costs[it].keeps for share in shares]
        return shares

    def _looked_up(self, place: Linear, table: Sequence[float]) -> Linear:
        values = [round(it * SCALE) for it in table]
        found = self._model.new_int_var(min(values), max(values), "")
        index = self._model.new_int_var(0, len(values) - 1, "")
        self._model.add(index == place)
        self._model.add_element(index, values, found)
        return found
