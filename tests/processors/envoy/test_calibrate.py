import asyncio

import pytest

from appnet.measure.probes import METHOD, all_probes
from appnet.optimize.cost import KINDS, Costs, TargetCosts, costs_of, entering
from appnet.processors.envoy.calibrate.calibrate import Effort, calibrate, solve
from appnet.processors.envoy.targets import TARGETS
from tests.support.prices import DEFAULT

PROBES = all_probes()


def charged(prices: TargetCosts) -> dict[str, float]:
    """What the cost model charges for each probe, microseconds."""
    found = {}
    for probe in PROBES:
        costs: Costs = costs_of(probe.element, [prices])
        found[probe.finds] = probe.copies * (costs.own[0] + entering([costs], prices))
    return found


def test_every_price_has_a_probe() -> None:
    assert [it.finds for it in PROBES] == ["module", "request_message", "response_message", *KINDS]
    assert METHOD.request.fields


@pytest.mark.parametrize("target", list(TARGETS))
def test_prices_are_such_that_the_model_says_what_was_measured(target: str) -> None:
    assert solve(PROBES, charged(DEFAULT.targets[target])) == DEFAULT.targets[target]


def test_noise_makes_no_price_negative() -> None:
    prices = solve(PROBES, dict.fromkeys(charged(DEFAULT.targets["native"]), -1.0))
    assert prices == TargetCosts(0.0, 0.0, 0.0, dict.fromkeys(KINDS, 0.0))


@pytest.mark.e2e
def test_prices_are_measured_on_a_real_envoy() -> None:
    steps: list[str] = []
    model = asyncio.run(calibrate(Effort(rounds=1, seconds=0.1), steps.append))
    assert "Envoy" in model.measured
    assert model.crossing > 1
    assert set(model.targets) == {"native", "wasm"}
    # Eight digests of short texts cannot go unnoticed, whatever else the machine does.
    assert all(it.operations["signature"] > 0.1 for it in model.targets.values())
    assert steps[0] == "building probes"
