"""The cheapest arrangement is the cheapest: as cheap as the best of all that are legal."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from appnet.application.model import Side
from appnet.optimize import Place
from appnet.optimize.chain_cost import ChainCosts
from appnet.optimize.cost import KINDS, Costs, TargetCosts
from appnet.optimize.problem import Problem
from appnet.optimize.search import Arrangement, as_written, by_constraints, by_rules, cheapest, exhaustive
from tests.support.prices import DEFAULT

Search = Callable[[Problem, ChainCosts], Arrangement]
TOLERANCE = 1e-4  # microseconds: the solver counts picoseconds
SLOW = TargetCosts(3.0, 2.0, 2.5, dict.fromkeys(KINDS, 0.1))
FREE = TargetCosts(0.0, 0.0, 0.0, dict.fromkeys(KINDS, 0.0))
CLIENT, SERVER = Side.CLIENT, Side.SERVER


def places(*sides: Side, prices: Sequence[TargetCosts] = (), passing: Sequence[float] = ()) -> list[Place]:
    each = prices or [DEFAULT.targets["native"]] * len(sides)
    return [
        Place(side, f"processor{number}", "target", frozenset(), it, passed)
        for number, (side, it, passed) in enumerate(
            zip(sides, each, passing or [0.0] * len(sides), strict=True),
        )
    ]


NATIVE, WASM = (places(CLIENT, SERVER, prices=[DEFAULT.targets[it]] * 2) for it in ("native", "wasm"))
CHEAP, DEAR = DEFAULT.targets["native"], DEFAULT.targets["wasm"]
SEVERAL = {
    "one": places(CLIENT),
    "one behind the wire": places(SERVER),
    "two of different prices": places(CLIENT, SERVER, prices=[DEAR, CHEAP]),
    "two on the client's side": places(CLIENT, CLIENT, prices=[CHEAP, DEAR]),
    "three": places(CLIENT, CLIENT, SERVER, prices=[CHEAP, DEAR, SLOW]),
    "three, two of them behind the wire": places(CLIENT, SERVER, SERVER, prices=[SLOW, DEAR, CHEAP]),
    "a free one between": places(CLIENT, CLIENT, SERVER, prices=[CHEAP, FREE, CHEAP]),
    "four": places(CLIENT, CLIENT, SERVER, SERVER, prices=[CHEAP, DEAR, SLOW, CHEAP]),
    "four alike": places(CLIENT, CLIENT, SERVER, SERVER),
    "programs behind proxies": places(CLIENT, CLIENT, SERVER, SERVER, passing=[0, 19.7, 19.7, 0]),
    "proxies before programs": places(CLIENT, CLIENT, SERVER, passing=[3.0, 19.7, 19.7]),
    "a proxy behind the wire": places(SERVER, passing=[19.7]),
}


def random_chain(source: random.Random, count: int, at: Sequence[Place] = NATIVE) -> tuple[Problem, ChainCosts]:
    """A chain on these places; elements that have to run on one side may do so in any place of it."""

    def some(share: float) -> bool:
        return source.random() < share

    def keeps() -> float:
        return 1.0 if some(0.5) else 1 - source.random() * 0.5

    def own() -> tuple[float, ...]:
        price = source.choice([0.05, 1.0, 4.0]) * source.random()
        return tuple(price if it.prices == at[0].prices else price * source.random() * 3 for it in at)

    costs = [Costs(own(), keeps(), some(0.5), some(0.5)) for _ in range(count)]
    written = tuple(sorted(source.randrange(len(at)) for _ in range(count)))
    suits = tuple(_suits(source, at, it) for it in written)
    density = source.random() * 0.5
    kept = frozenset((i, j) for i in range(count) for j in range(i + 1, count) if some(density))
    return Problem((), suits, written, kept, {}), ChainCosts(costs, at, crossing=20.54)


def _suits(source: random.Random, at: Sequence[Place], written: int) -> frozenset[int]:
    """Everywhere, on the side where it is written, or wherever places give what it needs."""
    free, side = range(len(at)), [number for number, it in enumerate(at) if it.side is at[written].side]
    wanting = [it for it in free if source.random() < 0.5]
    return frozenset((written, *source.choice([free, free, side, wanting])))


def priced(costs: ChainCosts, it: Arrangement) -> float:
    return costs.expected(it.order, it.at)


@pytest.mark.parametrize("at", [NATIVE, WASM], ids=["native", "wasm"])
@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("search", [cheapest, by_constraints])
def test_it_costs_as_little_as_the_best_of_all(search: Search, count: int, at: list[Place]) -> None:
    source = random.Random(count)
    for _ in range(12 if count < 6 else 5):
        problem, costs = random_chain(source, count, at)
        found = search(problem, costs)
        assert problem.is_legal(found.order, found.at)
        assert priced(costs, found) == pytest.approx(priced(costs, exhaustive(problem, costs)), abs=TOLERANCE)


@pytest.mark.parametrize("at", SEVERAL.values(), ids=SEVERAL)
@pytest.mark.parametrize("search", [cheapest, by_constraints])
def test_whatever_places_there_are(search: Search, at: list[Place]) -> None:
    source = random.Random(len(at))
    for count in (1, 2, 3, 3, 4, 4, 5, *[3] * (100 if search is cheapest else 0)):
        problem, costs = random_chain(source, count, at)
        found = search(problem, costs)
        assert problem.is_legal(found.order, found.at)
        assert priced(costs, found) == pytest.approx(priced(costs, exhaustive(problem, costs)), abs=TOLERANCE)


@pytest.mark.parametrize("at", [NATIVE, SEVERAL["three"], SEVERAL["four"]], ids=["two places", "three", "four"])
def test_seven_elements(at: list[Place]) -> None:
    problem, costs = random_chain(random.Random(70), 7, at)
    found, solved, best = (priced(costs, search(problem, costs)) for search in (cheapest, by_constraints, exhaustive))
    assert found == pytest.approx(best, abs=TOLERANCE)
    assert solved == pytest.approx(best, abs=TOLERANCE)


@pytest.mark.parametrize(("count", "at"), [(8, WASM), (10, WASM), (7, SEVERAL["four"]), (9, SEVERAL["three"])])
def test_both_ways_to_search_find_what_costs_as_little(count: int, at: list[Place]) -> None:
    source = random.Random(count)
    for _ in range(10 if len(at) == 2 else 3):
        problem, costs = random_chain(source, count, at)
        found, solved = (search(problem, costs) for search in (cheapest, by_constraints))
        assert problem.is_legal(found.order, found.at)
        if sum(it.keeps < 1 for it in costs.elements) <= 8:  # of more, the solver counts those that refuse most
            assert priced(costs, found) == pytest.approx(priced(costs, solved), abs=TOLERANCE)


def test_longer_chains_are_left_to_the_solver() -> None:
    problem, costs = random_chain(random.Random(1), 12)
    found = cheapest(problem, costs)
    assert problem.is_legal(found.order, found.at)
    assert priced(costs, found) <= priced(costs, as_written(problem))


def test_where_nothing_is_legal_the_chain_stays() -> None:
    costs = ChainCosts([Costs((1.0, 1.0), 1.0, reads_request=False, reads_response=False)] * 2, NATIVE, 20.0)
    problem = Problem((), (frozenset({1}), frozenset({0})), (1, 1), frozenset({(0, 1)}), {})
    for search in (cheapest, by_constraints, by_rules):
        assert search(problem, costs) == as_written(problem)


@pytest.mark.parametrize("at", [NATIVE, SEVERAL["four"]], ids=["two places", "four"])
def test_rules_of_thumb_are_legal_and_no_worse_than_nothing(at: list[Place]) -> None:
    source = random.Random(8)
    better = 0
    for _ in range(60):
        problem, costs = random_chain(source, 6, at)
        found, written = by_rules(problem, costs), as_written(problem)
        assert problem.is_legal(found.order, found.at)
        assert priced(costs, found) <= priced(costs, written)
        better += priced(costs, found) < priced(costs, written) - TOLERANCE
    assert better > 10


def test_by_rules_what_has_to_come_after_an_element_follows_it_over_the_wire() -> None:
    costs = ChainCosts([element(5.0), element(0.1, 0.5), element(1.0), element(1.0)], NATIVE, 20.0)
    suits = tuple(map(frozenset, ({0}, {0}, {1}, {0, 1})))
    problem = Problem((), suits, (0, 0, 1, 1), frozenset({(2, 3)}), {})
    assert by_rules(problem, costs) == Arrangement((1, 0, 2, 3), (0, 0, 1, 1))


def element(own: float, keeps: float = 1.0, *, reads: bool = False) -> Costs:
    return Costs((own, own), keeps, reads_request=reads, reads_response=False)


def test_what_refuses_most_goes_first_where_it_may() -> None:
    costs = ChainCosts([element(2.0, reads=True), element(0.1, 0.5, reads=True)], NATIVE, 20.0)
    suits = (frozenset({0}),) * 2
    assert cheapest(Problem((), suits, (0, 0), frozenset(), {}), costs).order == (1, 0)
    assert cheapest(Problem((), suits, (0, 0), frozenset({(0, 1)}), {}), costs).order == (0, 1)


def test_nothing_moves_for_nothing() -> None:
    costs = ChainCosts([element(1.0)] * 4, NATIVE, 20.0)
    problem = Problem((), (frozenset({0, 1}),) * 4, (0,) * 4, frozenset(), {})
    assert cheapest(problem, costs) == as_written(problem)


def test_elements_of_no_side_join_the_other_so_that_a_proxy_has_nothing_to_do() -> None:
    costs = ChainCosts([Costs((1.0, 1.0), 1.0, reads_request=True, reads_response=True)] * 2, NATIVE, 20.0)
    problem = Problem((), (frozenset({0, 1}), frozenset({1})), (0, 1), frozenset(), {})
    for search in (cheapest, by_rules):
        assert search(problem, costs).at == (1, 1)


def test_an_element_runs_where_it_costs_least() -> None:
    at = SEVERAL["two on the client's side"]
    costs = ChainCosts([Costs((5.0, 0.5), 1.0, reads_request=False, reads_response=False)], at, 20.0)
    problem = Problem((), (frozenset({0, 1}),), (0,), frozenset(), {})
    for search in (cheapest, by_constraints, exhaustive):
        assert search(problem, costs).at == (1,)


def test_a_place_between_costs_what_its_elements_read_and_no_more() -> None:
    none = dict.fromkeys(KINDS, 0.0)
    entered, read = TargetCosts(3.0, 0.0, 0.0, none), TargetCosts(0.0, 5.0, 5.0, none)
    one, other = (Costs((1.0,) * 3, 1.0, reads_request=it, reads_response=not it) for it in (True, False))
    blind = Costs((2.0, 0.0, 2.0), 1.0, reads_request=False, reads_response=False)
    costs = ChainCosts([one, other, blind], places(CLIENT, CLIENT, SERVER, prices=[entered, read, entered]), 20.0)
    problem = Problem((), (frozenset({0, 1}),) * 3, (0, 0, 0), frozenset(), {})
    for search in (cheapest, by_constraints, exhaustive):
        assert search(problem, costs).at == (0, 0, 1)


def test_the_wire_is_paid_for_once_by_what_gets_there() -> None:
    refuses = [Costs((0.0,) * 4, 0.5, reads_request=False, reads_response=False)]
    at = places(CLIENT, CLIENT, SERVER, SERVER, prices=[FREE] * 4)
    costs = ChainCosts(refuses, at, 20.0)
    assert [costs.expected([0], [it]) for it in range(4)] == [10.0, 10.0, 20.0, 20.0]
    for end in (at[:2], at[2:]):
        assert ChainCosts(refuses, end, 20.0).expected([0], [0]) == (10.0 if end == at[:2] else 20.0)


def test_proxies_are_paid_for_by_what_passes_them_elements_or_not() -> None:
    refuses = [Costs((0.0,) * 4, 0.5, reads_request=False, reads_response=False)]
    at = places(CLIENT, CLIENT, SERVER, SERVER, prices=[FREE] * 4, passing=[0.0, 8.0, 8.0, 0.0])
    costs = ChainCosts(refuses, at, 20.0)
    assert [costs.expected([0], [it]) for it in range(4)] == [18.0, 22.0, 36.0, 36.0]
    assert costs.idle([0], [0]) == {1: 4.0, 2: 4.0}
    assert costs.idle([0], [1]) == {2: 4.0}
    assert costs.idle([0], [3]) == {1: 8.0, 2: 8.0}
    sidecars = ChainCosts(refuses, places(CLIENT, SERVER, passing=[8.0, 8.0]), 20.0)
    assert sidecars.idle([0], [0]) == {}, "there is nothing that calls could go to instead"
    assert ChainCosts([], sidecars.places, 20.0).expected([], []) == 28.0, "what is before the client's side counts not"
