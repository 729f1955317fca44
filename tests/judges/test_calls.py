"""No case of a judge ends otherwise through both sidecars than without them, but for what `known.py` lists."""

from __future__ import annotations

import pytest

from appnet.processors.envoy.targets import TARGETS
from tests.judges.chains import CHAINS
from tests.judges.conformance import Conformance
from tests.judges.interop import Interop
from tests.judges.known import KNOWN, Known, complaints, seen
from tests.judges.runs import Runs
from tests.judges.suite import PASSED, Suite
from tests.judges.tools import Tools

pytestmark = [pytest.mark.judges, pytest.mark.timeout(600)]
SUITES = ("conformance", "interop")


@pytest.fixture(scope="session")
def suites(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Suite]:
    folder = tmp_path_factory.mktemp("suites")
    return {it.name: it for it in (Conformance(tools, folder), Interop(tools))}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("suite", SUITES)
def test_calls_end_as_without_sidecars(
    suite: str, chain: str, target: str, suites: dict[str, Suite], runs: Runs
) -> None:
    alone, through = runs.alone(suites[suite]), runs.through(suites[suite], chain, target)
    assert alone.keys() == through.keys()
    found = complaints(suite, chain, target, alone, through)
    assert not found, f"{len(found)} of {len(alone)} cases:\n" + "\n".join(found)


@pytest.mark.parametrize("known", [it for it in KNOWN if not it.race], ids=lambda it: f"{it.cases}-{it.chains[-1]}")
def test_what_is_listed_is_still_seen(known: Known, suites: dict[str, Suite], runs: Runs) -> None:
    suite = suites[known.suite]
    there = {(chain, target): runs.through(suite, chain, target) for chain in known.chains for target in known.targets}
    assert seen(known, there, runs.alone(suite)), f"no case ends so any more, take it out of known.py: {known.why}"


def test_a_chain_that_refuses_is_noticed(suites: dict[str, Suite], runs: Runs) -> None:
    """Or else calls might go past the elements, and all be well."""
    ended = runs.through(suites["interop"], "refuses", next(iter(TARGETS)))
    refused = {it for it, outcome in ended.items() if outcome != PASSED}
    assert {"empty_unary", "large_unary", "ping_pong", "server_streaming", "client_streaming"} <= refused
