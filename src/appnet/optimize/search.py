"""The legal arrangement of a chain that costs least, exactly, or a good one by rules of thumb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, permutations
from typing import Any, TypeAlias

from appnet.optimize.chain_cost import ChainCosts
from appnet.optimize.cost import Costs, entering
from appnet.optimize.problem import Problem
from appnet.optimize.sets import SCALE, by_sets

_SHORT = 10  # elements of a chain whose sets are fewer than what a solver has to be told
_MOST_DROPPERS = 8  # elements whose refusals count; of more, those that refuse most
_SECONDS = 10.0

Linear: TypeAlias = Any
"""A linear expression over the solver's variables."""


@dataclass(frozen=True)
class Arrangement:
    """``order``: numbers of the problem's elements in request order; ``at``: the place of each, by its number."""

    order: tuple[int, ...]
    at: tuple[int, ...]


def inverted(order: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs (i, j), i before j as written, that stand the other way round."""
    return [(j, i) for i, j in combinations(order, 2) if j < i]


def as_written(problem: Problem) -> Arrangement:
    """Nothing moved."""
    return Arrangement(tuple(range(len(problem.written))), problem.written)


def cheapest(problem: Problem, costs: ChainCosts) -> Arrangement:
    """The legal arrangement of the least expected cost; of those that cost the same, the one least moved."""
    if len(problem.written) > _SHORT:
        return by_constraints(problem, costs)
    found = by_sets(problem, costs)
    return as_written(problem) if found is None else Arrangement(*found)


def by_constraints(problem: Problem, costs: ChainCosts) -> Arrangement:
    """The same for a chain of any length, by OR-tools' CP-SAT, which takes tens of milliseconds for a short one."""
    return _Search(problem, costs).solve()


def by_rules(problem: Problem, costs: ChainCosts) -> Arrangement:
    """The public AppNet's rules of thumb: what refuses most for its cost goes first, and places are used sparingly."""
    at = _fewest_places(problem)
    order: list[int] = []
    left = set(range(len(at)))
    while left:
        free = [it for it in left if not any((other, it) in problem.kept for other in left)]
        earliest = min(at[it] for it in free)
        here = [it for it in free if at[it] == earliest]
        best = max(here, key=lambda it: ((1 - costs.elements[it].keeps) / (costs.elements[it].own[at[it]] + 1e-9), -it))
        order.append(best)
        left.remove(best)
    arrangement = Arrangement(tuple(order), at)
    written = as_written(problem)
    if not problem.is_legal(arrangement.order, arrangement.at):
        return written
    return min((written, arrangement), key=lambda it: costs.expected(it.order, it.at))


def _fewest_places(problem: Problem) -> tuple[int, ...]:
    """Elements that may run in several places join the first that has elements which have to run there."""
    used = {place for suiting in problem.suits if len(suiting) == 1 for place in suiting}
    at: list[int] = []
    for suiting in problem.suits:
        place = min(suiting & used or suiting)
        used.add(place)
        at.append(place)
    for _ in at:  # what has to come after an element is not in a place before that element's
        for i, j in problem.kept:
            behind = {it for it in problem.suits[j] if it >= at[i]}
            if at[j] < at[i] and behind:
                at[j] = min(behind & used or behind)
    return tuple(at)


def exhaustive(problem: Problem, costs: ChainCosts) -> Arrangement:
    """The same as `cheapest` by looking at every legal arrangement: for tests, as it takes more than n! steps."""
    return min(_legal(problem, len(costs.places)), key=lambda it: costs.expected(it.order, it.at))


def _legal(problem: Problem, places: int) -> Iterator[Arrangement]:
    count = len(problem.written)
    for order in permutations(range(count)):
        if any(order.index(i) > order.index(j) for i, j in problem.kept):
            continue
        for along in combinations_with_replacement(range(places), count):
            at = dict(zip(order, along, strict=True))
            arrangement = Arrangement(order, tuple(at[it] for it in range(count)))
            if problem.is_legal(arrangement.order, arrangement.at):
                yield arrangement


class _Search:
    """The model: for each pair which comes first, for each element in which places a request has it still ahead.

    What an RPC costs at an element depends on its place and on which refusing elements it has passed, and on nothing
    else, so the cost is looked up in a table with an entry for every set of them.
    """

    def __init__(self, problem: Problem, costs: ChainCosts) -> None:
        from ortools.sat.python import cp_model  # noqa: PLC0415 -- takes half a second, which most commands need not pay

        self._cp = cp_model
        self._model: Any = cp_model.CpModel()
        self._problem, self._costs, self._elements = problem, costs, costs.elements
        self._places = range(len(costs.places))
        numbers = range(len(problem.written))
        self._first = {pair: self._model.new_bool_var(f"{pair}") for pair in combinations(numbers, 2)}
        self._behind: list[list[Linear]] = [  # whether an element is in this place, or behind it
            [self._model.new_bool_var(f"{it} from {place}") if place else 1 for place in self._places] for it in numbers
        ]
        keeps = [it.keeps for it in self._elements]
        refusing = sorted((it for it in numbers if keeps[it] < 1), key=keeps.__getitem__)
        self._droppers = refusing[:_MOST_DROPPERS]

    def solve(self) -> Arrangement:
        self._keep_order()
        self._keep_places()
        numbers = range(len(self._problem.written))
        cost = sum(self._cost_of(it) for it in numbers) + sum(self._shared_cost(it) for it in self._places)
        moved = [1 - first for first in self._first.values()]
        moved += [1 - self._here(it, place) for it, place in enumerate(self._problem.written)]
        self._model.minimize((len(moved) + 1) * cost + sum(moved))
        solver = self._cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_time_in_seconds = _SECONDS
        status = solver.solve(self._model)
        if status not in (self._cp.OPTIMAL, self._cp.FEASIBLE):
            return as_written(self._problem)
        before = {it: sum(solver.value(self._before(other, it)) for other in numbers if other != it) for it in numbers}
        at = tuple(sum(solver.value(it) for it in behind[1:]) for behind in self._behind)
        return Arrangement(tuple(sorted(numbers, key=before.__getitem__)), at)

    def _before(self, i: int, j: int) -> Linear:
        """Whether i comes before j."""
        return self._first[i, j] if i < j else 1 - self._first[j, i]

    def _here(self, it: int, place: int) -> Linear:
        """Whether the element is in this place."""
        behind = self._behind[it]
        return behind[place] - behind[place + 1] if place + 1 < len(behind) else behind[place]

    def _keep_order(self) -> None:
        for i, j in self._problem.kept:
            self._model.add(self._first[i, j] == 1)
        for i, j, k in combinations(range(len(self._problem.written)), 3):
            around = self._first[i, j] + self._first[j, k] - self._first[i, k]
            self._model.add_linear_constraint(around, 0, 1)  # no circles

    def _keep_places(self) -> None:
        for it, suiting in enumerate(self._problem.suits):
            for place in self._places[1:]:
                self._model.add(self._behind[it][place] <= self._behind[it][place - 1])
            for place in set(self._places) - suiting:
                self._model.add(self._here(it, place) == 0)
        for i, j in self._first:  # what comes after an element is in its place, or behind
            for place in self._places[1:]:
                one, other = self._behind[i][place], self._behind[j][place]
                self._model.add(one + self._first[i, j] - other <= 1)
                self._model.add(other + 1 - self._first[i, j] - one <= 1)

    def _cost_of(self, it: int) -> Linear:
        passed = [other for other in self._droppers if other != it]
        index = sum(self._before(other, it) * 2**bit for bit, other in enumerate(passed))
        shares, own = self._shares(passed), self._elements[it].own
        if len(set(own)) == 1:
            return self._looked_up(index, [own[0] * share for share in shares])
        index += sum(self._behind[it][1:]) * len(shares)
        return self._looked_up(index, [price * share for price in own for share in shares])

    def _shared_cost(self, place: int) -> Linear:
        """Of the module in the place, and of the way there."""
        used = [self._entering(place, pattern) for pattern in range(8)]
        way = self._costs.way(place)
        uses = self._uses([self._here(it, place) for it in range(len(self._elements))])
        if place == 0:
            return self._looked_up(uses, [way + entry for entry in used])
        passed = sum((1 - self._behind[other][place]) * 2**bit for bit, other in enumerate(self._droppers))
        table = [share * (way + entry) for entry in used for share in self._shares(self._droppers)]
        return self._looked_up(passed + uses * 2 ** len(self._droppers), table)

    def _uses(self, here: Sequence[Linear]) -> Linear:
        """What the elements of one place need, as bits: a module, the request's message, the response's message."""
        needs = (
            list(here),
            [it for it, costs in zip(here, self._elements, strict=True) if costs.reads_request],
            [it for it, costs in zip(here, self._elements, strict=True) if costs.reads_response],
        )
        bits = [self._model.new_bool_var("") for _ in needs]
        for bit, which in zip(bits, needs, strict=True):
            self._model.add_max_equality(bit, which or [0])
        return sum(bit * 2**number for number, bit in enumerate(bits))

    def _entering(self, place: int, pattern: int) -> float:
        if not pattern & 1:
            return 0.0
        reading = Costs((), 1.0, bool(pattern & 2), bool(pattern & 4))
        return entering([reading], self._costs.places[place].prices)

    def _shares(self, droppers: Sequence[int]) -> list[float]:
        """The share of RPCs left behind each set of these elements, by the set's bits."""
        shares = [1.0]
        for it in droppers:
            shares += [share * self._elements[it].keeps for share in shares]
        return shares

    def _looked_up(self, place: Linear, table: Sequence[float]) -> Linear:
        values = [round(it * SCALE) for it in table]
        found = self._model.new_int_var(min(values), max(values), "")
        index = self._model.new_int_var(0, len(values) - 1, "")
        self._model.add(index == place)
        self._model.add_element(index, values, found)
        return found
