"""What `benchmarks.optimised` measures: the plans, how they are put in order, what comes of samples."""

from dataclasses import replace

import pytest

from appnet.application.model import Side
from appnet.optimize.placement import OptLevel
from benchmarks.optimised import (
    ADDED_CPU,
    CPU,
    MEASURED,
    PREDICTED,
    RANKED,
    Case,
    Samples,
    chains,
    rows,
    spearman,
)
from benchmarks.plans import Application, Plan, Planner, applications
from tests.support.prices import DEFAULT

ECHO, ENCRYPTED, EARLY = applications()


def names(application: Application, plan: Plan, side: Side) -> list[list[str]]:
    case = Case("case", "the case", application, "wasm", plan)
    return [[application.stops[it].element.name for it in module] for module in chains(case, side)]


def test_as_written_every_element_is_a_module() -> None:
    plan = Planner(ENCRYPTED, DEFAULT, "wasm").at(OptLevel.NO)
    assert names(ENCRYPTED, plan, Side.CLIENT) == [["logging"], ["metrics"], ["encrypt"], ["acl"], ["fault"]]
    assert names(ENCRYPTED, plan, Side.SERVER) == [["decrypt"]]


def test_what_refuses_comes_before_encryption_even_where_everything_must_stay() -> None:
    (module,) = names(ENCRYPTED, Planner(ENCRYPTED, DEFAULT, "wasm").at(OptLevel.STRONG), Side.CLIENT)
    assert module.index("acl") < module.index("encrypt")


def test_what_refuses_moves_to_the_client_where_records_may_differ() -> None:
    client = names(EARLY, Planner(EARLY, DEFAULT, "wasm").at(OptLevel.WEAK), Side.CLIENT)
    assert {"acl", "fault"} <= set(client[0])


@pytest.mark.parametrize("application", [ECHO, ENCRYPTED, EARLY], ids=lambda it: it.name)
def test_the_less_must_stay_the_less_is_expected_to_cost(application: Application) -> None:
    planner = Planner(application, DEFAULT, "wasm")
    no, strong, weak, ignore = (
        round(planner.at(it).predicted, 6) for it in (OptLevel.NO, OptLevel.STRONG, OptLevel.WEAK, OptLevel.IGNORE)
    )
    assert no > strong >= weak >= ignore


def test_plans_to_be_ordered_differ_in_cost() -> None:
    plans = Planner(EARLY, DEFAULT, "wasm").spread(12)
    costs = [it.predicted for it in plans]
    assert costs == sorted(costs)
    assert len(set(costs)) == 12
    assert costs[-1] > 1.3 * costs[0]


def test_rank_correlation() -> None:
    assert spearman([1.0, 2.0, 3.0], [10.0, 20.0, 90.0]) == pytest.approx(1.0)
    assert spearman([1.0, 2.0, 3.0], [9.0, 5.0, 1.0]) == pytest.approx(-1.0)
    # By hand: places 1, 2.5, 2.5, 4 and 1, 2, 3, 4.
    assert spearman([1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]) == pytest.approx(0.9487, abs=1e-4)


def test_what_is_added_is_beyond_the_envoys_alone_in_the_same_round() -> None:
    plan = Planner(EARLY, DEFAULT, "wasm").at(OptLevel.WEAK)
    cases = [
        Case("early-router", "alone", EARLY),
        Case("early-wasm-no", "as written", EARLY, "wasm", plan),
        Case("early-wasm-weak", "weak", EARLY, "wasm", plan),
        Case("early-plan01", "plan", EARLY, "wasm", replace(plan, predicted=1.0), paced=False),
        Case("early-plan02", "plan", EARLY, "wasm", replace(plan, predicted=2.0), paced=False),
    ]
    # The second round was twice as slow for all.
    samples = {
        it.name: Samples([base, 2 * base], [9.0, 9.0], [9.0, 9.0])
        for it, base in zip(cases, [10.0, 30.0, 20.0, 5.0, 6.0], strict=True)
    }
    found = {(it.case, it.metric): it for it in rows(cases, samples)}
    assert found["early-wasm-no", ADDED_CPU].value == 30.0
    assert found["early-wasm-weak", ADDED_CPU].ratio == 0.5
    assert found["early-wasm-weak", CPU].ratio == pytest.approx(2 / 3, abs=1e-3)
    assert found["early-plan01", MEASURED].value == 7.5
    assert found["early-plan01", PREDICTED].value == 1.0
    assert found["plans", RANKED].value == 1.0
