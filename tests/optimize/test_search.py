"""The cheapest arrangement is the cheapest: as cheap as the best of all that are legal."""

from __future__ import annotations

import random

import pytest

from appnet.network.placement import Side
from appnet.optimize import DEFAULT
from appnet.optimize.cost import Costs, expected_cost
from appnet.optimize.problem import Problem
from appnet.optimize.search import Arrangement, as_written, by_rules, cheapest, exhaustive

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
def test_it_costs_as_little_as_the_best_of_all(count: int, target: str) -> None:
    source = random.Random(count)
    for _ in range(12 if count < 6 else 5):
        problem, costs = random_chain(source, count)
        found = cheapest(problem, costs, DEFAULT, target)
        assert problem.is_legal(found.order, found.sides)
        best = exhaustive(problem, costs, DEFAULT, target)
        assert priced(costs, found, target) == pytest.approx(priced(costs, best, target), abs=TOLERANCE)


def test_seven_elements() -> None:
    problem, costs = random_chain(random.Random(70), 7)
    found, best = (search(problem, costs, DEFAULT, "native") for search in (cheapest, exhaustive))
    assert priced(costs, found, "native") == pytest.approx(priced(costs, best, "native"), abs=TOLERANCE)


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
