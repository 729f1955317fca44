"""The cheapest arrangement is the cheapest: as cheap as the best of all that are legal."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from appnet.application.model import Side
from appnet.optimize import DEFAULT
from appnet.optimize.cost import CostModel, Costs, expected_cost
from appnet.optimize.problem import Problem
from appnet.optimize.search import Arrangement, as_written, by_constraints, by_rules, cheapest, exhaustive

Search = Callable[[Problem, Sequence[Costs], CostModel, str], Arrangement]
TOLERANCE = 1e-4  # microseconds: the solver counts picoseconds


def random_chain(source: random.Random, count: int) -> tuple[Problem, list[Costs]]:
    def some(share: float) -> bool:
        return source.random() < share

    def keeps() -> float:
        return 1.0 if some(0.5) else 1 - source.random() * 0.5

    costs = [
        Costs(source.choice([0.05, 1.0, 4.0]) * source.random(), keeps(), some(0.5), some(0.5)) for _ in range(count)
    ]
    split = source.randint(0, count)
    written = tuple(Side.CLIENT if it < split else Side.SERVER for it in range(count))
    sides = tuple(None if some(0.6) else it for it in written)
    density = source.random() * 0.5
    kept = frozenset((i, j) for i in range(count) for j in range(i + 1, count) if some(density))
    return Problem((), sides, written, kept, {}), costs  # type: ignore[arg-type]


def priced(costs: list[Costs], it: Arrangement, target: str) -> float:
    return expected_cost(costs, it.order, it.sides, DEFAULT, target)


@pytest.mark.parametrize("target", ["native", "wasm"])
@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("search", [cheapest, by_constraints])
def test_it_costs_as_little_as_the_best_of_all(search: Search, count: int, target: str) -> None:
    source = random.Random(count)
    for _ in range(12 if count < 6 else 5):
        problem, costs = random_chain(source, count)
        found = search(problem, costs, DEFAULT, target)
        assert problem.is_legal(found.order, found.sides)
        best = exhaustive(problem, costs, DEFAULT, target)
        assert priced(costs, found, target) == pytest.approx(priced(costs, best, target), abs=TOLERANCE)


def test_seven_elements() -> None:
    problem, costs = random_chain(random.Random(70), 7)
    found, solved, best = (
        priced(costs, search(problem, costs, DEFAULT, "native"), "native")
        for search in (cheapest, by_constraints, exhaustive)
    )
    assert found == pytest.approx(best, abs=TOLERANCE)
    assert solved == pytest.approx(best, abs=TOLERANCE)


@pytest.mark.parametrize("count", [8, 10])
def test_both_ways_to_search_find_what_costs_as_little(count: int) -> None:
    source = random.Random(count)
    for _ in range(10):
        problem, costs = random_chain(source, count)
        found, solved = (search(problem, costs, DEFAULT, "wasm") for search in (cheapest, by_constraints))
        assert problem.is_legal(found.order, found.sides)
        if sum(it.keeps < 1 for it in costs) <= 8:  # of more, the solver counts those that refuse most
            assert priced(costs, found, "wasm") == pytest.approx(priced(costs, solved, "wasm"), abs=TOLERANCE)


def test_longer_chains_are_left_to_the_solver() -> None:
    problem, costs = random_chain(random.Random(1), 12)
    found = cheapest(problem, costs, DEFAULT, "native")
    assert problem.is_legal(found.order, found.sides)
    assert priced(costs, found, "native") <= priced(costs, as_written(problem), "native")


def test_where_nothing_is_legal_the_chain_stays() -> None:
    costs = [Costs(1.0, 1.0, reads_request=False, reads_response=False)] * 2
    problem = Problem((), (Side.SERVER, Side.CLIENT), (Side.SERVER,) * 2, frozenset({(0, 1)}), {})
    for search in (cheapest, by_constraints):
        assert search(problem, costs, DEFAULT, "native") == as_written(problem)


def test_rules_of_thumb_are_legal_and_no_worse_than_nothing() -> None:
    source = random.Random(8)
    better = 0
    for _ in range(60):
        problem, costs = random_chain(source, 6)
        found, written = by_rules(problem, costs, DEFAULT, "native"), as_written(problem)
        assert problem.is_legal(found.order, found.sides)
        assert priced(costs, found, "native") <= priced(costs, written, "native")
        better += priced(costs, found, "native") < priced(costs, written, "native") - TOLERANCE
    assert better > 10


def test_what_refuses_most_goes_first_where_it_may() -> None:
    costs = [
        Costs(2.0, 1.0, reads_request=True, reads_response=False),
        Costs(0.1, 0.5, reads_request=True, reads_response=False),
    ]
    free = Problem((), (Side.CLIENT,) * 2, (Side.CLIENT,) * 2, frozenset(), {})
    assert cheapest(free, costs, DEFAULT, "native").order == (1, 0)
    bound = Problem((), (Side.CLIENT,) * 2, (Side.CLIENT,) * 2, frozenset({(0, 1)}), {})
    assert cheapest(bound, costs, DEFAULT, "native").order == (0, 1)


def test_nothing_moves_for_nothing() -> None:
    costs = [Costs(1.0, 1.0, reads_request=False, reads_response=False)] * 4
    problem = Problem((), (None,) * 4, (Side.CLIENT,) * 4, frozenset(), {})
    assert cheapest(problem, costs, DEFAULT, "native") == as_written(problem)


def test_elements_of_no_side_join_the_other_so_that_a_proxy_has_nothing_to_do() -> None:
    costs = [Costs(1.0, 1.0, reads_request=True, reads_response=True)] * 2
    problem = Problem((), (None, Side.SERVER), (Side.CLIENT, Side.SERVER), frozenset(), {})
    assert cheapest(problem, costs, DEFAULT, "native").sides == (Side.SERVER, Side.SERVER)
