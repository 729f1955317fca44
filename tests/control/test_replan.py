"""Plans that follow traffic: an hour of noise does not make them flap, and a shift is followed within its interval."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appnet.application.load import LoadedApplication, load
from appnet.application.model import Replan, ReplanMode
from appnet.compile.fit import Where
from appnet.compile.pipeline import Arrangements, Version, arrangements_of, plan_application, planned_as
from appnet.control.controller import Controller
from appnet.control.replan import Better, Replanner, enough
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from appnet.optimize.search import Arrangement
from appnet.processors.artifact import Artifact
from tests.support.asynchronous import asynchronous
from tests.support.guarded import guarded

WORDS = ("ann", "bob", "cyd")
END = {"client": "frontend", "server": "server", "side": "client", "method": "echo.EchoService/echo"}
Traffic = Mapping[frozenset[str], float]
"""The share of calls that each set of guards would refuse; the rest passes all of them."""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> LoadedApplication:
    return load(FileSource(guarded(tmp_path_factory.mktemp("guarded"), WORDS, {"mode": "auto", "interval": "1m"})))


class Simulated:
    """The application under calls that come from a seed, a minute at a time."""

    def __init__(self, application: LoadedApplication, seed: int = 1, **replan: Any) -> None:
        chains = tuple(
            replace(it, chain=replace(it.chain, replan=replace(it.chain.replan or Replan(ReplanMode.AUTO), **replan)))
            for it in application.chains
        )
        loaded = replace(application, chains=chains)
        code = cast(
            "Artifact", SimpleNamespace(version="v", name="v", others=())
        )  # whatever the order: only plans are of interest
        self.version = Version("0", loaded, tuple(plan_application(loaded, Settings(), Where())), (code,))
        self.replanner = Replanner(Settings(), Where())
        self.random = random.Random(seed)
        self.now, self.calls, self.refused = 0.0, 0, dict.fromkeys(WORDS, 0)
        self.look()

    @property
    def order(self) -> tuple[str, ...]:
        plan = self.version.plans[0]
        return tuple(plan.problem.elements[it].name for it in plan.arrangement.order)

    def counts(self) -> dict[str, Any]:
        end = {**END, "version": self.version.artifacts[0].version}
        refusals = [
            {**end, "element": it, "handler": "req", "code": "PERMISSION_DENIED", "count": count}
            for it, count in self.refused.items()
        ]
        calls = [{**end, "count": self.calls, "in_flight": 0, "duration": None}]
        return {"time": self.now, "calls": calls, "refusals": refusals, "replies": [], "rows": []}

    def look(self) -> list[Better]:
        return self.replanner.look(self.version, self.counts(), self.now)

    def minute(self, traffic: Traffic, calls: int) -> list[Better]:
        """Lets calls come for a minute, and goes on by the plans that are to be gone on by."""
        rest = 1 - sum(traffic.values())
        for refusing in self.random.choices([*traffic, frozenset()], [*traffic.values(), rest], k=calls):
            first = next((it for it in self.order if it in refusing), None)
            if first is not None:
                self.refused[first] += 1
        self.calls += calls
        self.now += 60.0
        news = self.look()
        for it in news:
            if it.adopted:
                self.version = replace(self.version, id=f"{self.version.id}+", plans=(it.plan,))
                self.look()
        return news


def passed(order: Sequence[str], traffic: Traffic) -> float:
    """How many guards a call passes or is refused by, on average: what differs between the costs of orders."""
    reached = 0.0
    for number in range(len(order)):
        reached += 1 - sum(share for refusing, share in traffic.items() if refusing & set(order[:number]))
    return reached


SETS = [frozenset(word for number, word in enumerate(WORDS) if it >> number & 1) for it in range(1, 8)]


@st.composite
def stationary(draw: st.DrawFn) -> Traffic:
    """Any traffic: guards may refuse the same calls, different ones, or regardless of each other."""
    weights = draw(st.lists(st.integers(0, 100), min_size=8, max_size=8))
    total = sum(weights) or 1
    return {refusing: weight / total for refusing, weight in zip(SETS, weights[1:], strict=True)}


@settings(max_examples=max(5, settings().max_examples // 100))  # of an hour each
@given(traffic=stationary(), seed=st.integers(0, 2**32))
def test_an_hour_of_noise_does_not_flap(application: LoadedApplication, traffic: Traffic, seed: int) -> None:
    it = Simulated(application, seed)
    ran = [it.order]
    for _ in range(60):
        it.minute(traffic, it.random.randint(enough(0.1), 3 * enough(0.1)))
        if it.order != ran[-1]:
            ran.append(it.order)
    assert len(set(ran)) == len(ran), "no plan comes back"
    costs = [passed(order, traffic) for order in ran]
    assert costs == sorted(costs, reverse=True), "each plan is truly cheaper than the one before"


ONE = frozenset({"ann"})
OTHER = frozenset({"cyd"})


def shifting() -> Iterator[tuple[Traffic, str]]:
    while True:
        yield {ONE: 0.6, OTHER: 0.02}, "ann"
        yield {ONE: 0.02, OTHER: 0.6}, "cyd"


def test_a_shift_is_followed_within_its_interval(application: LoadedApplication) -> None:
    it = Simulated(application)
    for _, (traffic, first) in zip(range(6), shifting(), strict=False):
        news = it.minute(traffic, 2_000)
        assert it.order[0] == first
        assert all(one.saving >= 0.1 and one.adopted for one in news)
        assert it.minute(traffic, 2_000) == []


def test_guards_that_refuse_different_calls_do_not_take_turns(application: LoadedApplication) -> None:
    """Behind another, each refuses a larger share of what reaches it than in front: 67 % in place of 40 %."""
    it = Simulated(application)
    news = [found for _ in range(60) for found in it.minute({ONE: 0.4, OTHER: 0.4}, 5_000)]
    assert len(news) <= 1


def test_a_few_calls_tell_nothing_until_they_are_enough(application: LoadedApplication) -> None:
    it = Simulated(application)
    for number in range(1, 10):
        assert it.minute({OTHER: 0.6}, 99) == [], f"after {number} minutes"
    (found,) = it.minute({OTHER: 0.6}, 99)
    assert (found.calls, it.order[0]) == (990, "cyd")
    assert enough(0.1) == 900 < enough(0.01) == 90_000


def test_what_is_kept_of_a_plan_brings_it_back(application: LoadedApplication) -> None:
    it = Simulated(application)
    it.minute({OTHER: 0.6}, 2_000)
    (named,) = kept = arrangements_of(it.version)
    assert it.order == ("cyd", "ann", "bob")

    def again(kept: Arrangements) -> Arrangements:
        there = planned_as(it.version.application, Settings(), Where(), kept)
        plans = plan_application(it.version.application, Settings(), Where(), running=there)
        return arrangements_of(replace(it.version, plans=tuple(plans)))

    assert again(kept) == kept
    written, at = again({})[named], kept[named].at
    assert written.order == (0, 1, 2)
    for order, places in (((2, 0), at), ((2, 0, 3), at), ((2, 0, 0), at), ((2, 0, 1), at[:2]), ((2, 0, 1), (9, 9, 9))):
        assert again({named: Arrangement(order, places)})[named] == written, "what somebody else wrote"


def test_at_most_once_in_an_interval(application: LoadedApplication) -> None:
    it = Simulated(application, interval=180.0)
    changed = []
    for minute, (traffic, _) in zip(range(30), shifting(), strict=False):
        if any(one.adopted for one in it.minute(traffic if minute % 2 else {OTHER: 0.9}, 5_000)):
            changed.append(minute)
    assert changed
    assert all(later - before >= 3 for before, later in pairwise(changed))


def test_a_suggestion_is_shown_once(application: LoadedApplication) -> None:
    it = Simulated(application, mode=ReplanMode.SUGGEST)
    (found,) = it.minute({OTHER: 0.6}, 2_000)
    assert not found.adopted
    assert it.order == WORDS
    assert str(found).startswith("frontend->server echo: client: cyd, ann, bob saves ")
    for _ in range(10):
        assert it.minute({OTHER: 0.6}, 2_000) == []
        assert it.replanner.suggested[0].plan.arrangement == found.plan.arrangement
    assert it.minute({ONE: 0.6}, 2_000) == []
    assert it.replanner.suggested == {}, "nor is it shown as what would save once it would not"
    assert it.minute({OTHER: 0.6}, 2_000), "and it is news when it would again"
    (chain,) = it.version.application.chains
    unasked = replace(it.version.application, chains=(replace(chain, chain=replace(chain.chain, replan=None)),))
    assert it.replanner.suggestions(it.version)
    assert it.replanner.suggestions(replace(it.version, application=unasked)) == [], "nobody asks for it any more"


def test_what_was_suggested_is_gone_on_by_once_that_is_asked_for(application: LoadedApplication) -> None:
    it = Simulated(application, mode=ReplanMode.SUGGEST)
    it.minute({OTHER: 0.6}, 2_000)
    asked = Simulated(application).version.application
    it.version = replace(it.version, application=asked)
    (found,) = it.minute({OTHER: 0.6}, 2_000)
    assert found.adopted
    assert it.order[0] == "cyd"


def test_what_nodes_refused_is_not_tried_again(application: LoadedApplication) -> None:
    it = Simulated(application)
    it.calls, it.refused, it.now = 2_000, {**it.refused, "cyd": 1_500}, 60.0
    (found,) = it.look()
    assert found.adopted
    it.calls, it.refused, it.now = 4_000, {**it.refused, "cyd": 3_000}, 120.0
    assert it.look() == [], "the version before runs on"


def test_a_new_version_is_looked_at_anew(application: LoadedApplication) -> None:
    it = Simulated(application)
    assert it.replanner.due(it.version) == 60.0
    it.now = 59.0
    it.version = replace(it.version, id="saved")
    due = it.replanner.due(it.version)
    assert due is not None
    assert due < 0, "at once, for what was counted before it"
    it.look()
    assert it.replanner.due(it.version) == 119.0
    assert it.minute({OTHER: 0.6}, 2_000)


def test_elements_stay_in_their_places(tmp_path: Path) -> None:
    """On the server's side an element refuses after the wire: it is shown what moving it would save, and stays."""
    config = guarded(tmp_path, ("ann",), "auto", chain="anyChain")
    config.write_text(config.read_text() + "  serverChain:\n  - {name: bob, file: guard.appnet}\n")
    it = Simulated(load(FileSource(config)), interval=60.0)
    assert [one.place.side.value for one in it.version.plans[0].plan.segments] == ["server"]
    it.refused = {"ann": 0}
    (found,) = it.minute({ONE: 0.9}, 2_000)
    assert (found.moved, found.adopted) == (("ann",), False)
    assert "it moves ann, which `replan` does not do while calls run" in str(found)
    assert it.version.id == "0"


def test_who_asks_for_no_replan_is_never_looked_at(application: LoadedApplication) -> None:
    chains = tuple(replace(it, chain=replace(it.chain, replan=None)) for it in application.chains)
    loaded = replace(application, chains=chains)
    version = Version("0", loaded, tuple(plan_application(loaded, Settings(), Where())), ())
    assert Replanner(Settings(), Where()).due(version) is None


async def controlled(tmp_path: Path, *canaries: str) -> tuple[Controller, Better]:
    """The application as it begins, and a plan that saves."""
    source = FileSource(guarded(tmp_path, WORDS, "auto"))
    controller = Controller([source], Settings(), Where(), canaries)
    it = Simulated(load(source), interval=60.0)
    it.version = await controller.begin()
    it.look()
    it.calls, it.refused, it.now = 2_000, {**it.refused, "cyd": 1_500}, 600.0
    (found,) = it.look()
    return controller, found


def orders(version: Version) -> list[str]:
    return [" ".join(it.name for it in artifact.elements) for artifact in version.artifacts]


@asynchronous
async def test_a_plan_is_a_version_that_can_be_undone_for_good(tmp_path: Path) -> None:
    controller, found = await controlled(tmp_path)
    first = controller.running
    rollout = await controller.replan([found])
    assert rollout is not None
    assert (orders(first), orders(controller.running)) == (["ann bob cyd"], ["cyd ann bob"])
    assert (rollout.anew, controller.settled) == ((), True)
    assert await controller.replan([found]) is None, "it was found for the version before"
    assert await controller.upgrade() is None, "files that say the same keep the plan"
    await controller.undo()
    assert controller.running.id == first.id
    assert await controller.upgrade() is None
    assert not controller.settled
    assert await controller.replan([found]) is None
    guard = tmp_path / "echo" / "guard.appnet"
    guard.write_text(guard.read_text().replace("'refused'", "'no'"))
    assert await controller.upgrade() is not None
    assert controller.settled
    await controller.pause()
    assert not controller.settled
    guard.write_text(guard.read_text().replace("'no'", "'never'"))
    assert await controller.upgrade() is None
    await controller.undo()
    assert (await controller.resume()).accept_seconds == {}
    assert controller.settled, "nobody went back: what had waited was dropped"


@asynchronous
async def test_canaries_get_it_first_and_nothing_else_meanwhile(tmp_path: Path) -> None:
    controller, found = await controlled(tmp_path, "frontend-sidecar")
    await controller.replan([found])
    assert controller.candidate is not None
    assert (orders(controller.running), orders(controller.candidate)) == (["ann bob cyd"], ["cyd ann bob"])
    assert not controller.settled
    await controller.promote()
    assert (orders(controller.running), controller.settled) == (["cyd ann bob"], True)
