"""Rates and shares follow from counts of many instances, versions and modules."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from appnet.dashboard import counts as module
from appnet.dashboard.charts import WIDTH, chart
from appnet.dashboard.counts import Counts
from appnet.dashboard.running import EdgeKey
from appnet.dashboard.trends import STEP_SECONDS, STEPS, Step, Trends
from appnet.observe.points import CALLS, DURATIONS, ELEMENT, REFUSALS, SIDE, STATUS, Histogram
from appnet.observe.totals import Totals
from tests.dashboard.shown import point
from tests.support.asynchronous import asynchronous

EDGE = EdgeKey("", "frontend", "server")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


def took(milliseconds: float, many: int) -> Histogram:
    return Histogram(3, math.ceil(math.log2(milliseconds / 1e3) * 8) - 1, (many,), milliseconds * many / 1e3)


def test_what_came_lately(clock: Clock) -> None:
    @asynchronous
    async def scenario() -> None:
        totals = Totals()
        counts = Counts(totals, {}, clustered=False)
        totals.add(point(CALLS, 100, "v1"))
        totals.add(point(REFUSALS, 10, "v1", **{ELEMENT: "wall", STATUS: "ABORTED"}))
        totals.add(point(DURATIONS["server"], took(1, 100), "v1"))
        await counts.refresh(0)
        seen = counts.edge(EDGE)
        assert (seen.calls.count, seen.calls.rate, seen.share, seen.p50) == (100, None, None, None)
        clock.now += 5
        totals.add(point(CALLS, 150, "v1"))
        totals.add(point(CALLS, 50, "v2"))
        totals.add(point(REFUSALS, 35, "v1", **{ELEMENT: "wall", STATUS: "ABORTED"}))
        more = took(1, 100).plus(took(16, 50))
        totals.add(point(DURATIONS["server"], more, "v1"))
        await counts.refresh(0)
        seen = counts.edge(EDGE)
        assert (seen.calls.count, seen.calls.rate) == (200, 20)
        assert (seen.refused.rate, seen.share) == (5, 0.25)
        assert seen.p50 == pytest.approx(16e-3, rel=0.1), "of those that ended lately"
        assert {key: it.rate for key, it in seen.versions.items()} == {"v1": 10, "v2": 10}
        clock.now += 60
        await counts.refresh(0)
        assert counts.edge(EDGE).calls.rate is None, "what was seen so long ago says nothing of now"

    scenario()


def test_what_was_counted_before_a_restart_is_no_rate(clock: Clock) -> None:
    @asynchronous
    async def scenario() -> None:
        totals = Totals()
        counts = Counts(totals, {}, clustered=False)
        totals.add(point(CALLS, 100, "v1"))
        await counts.refresh(0)
        clock.now += 5
        totals.add(replace(point(CALLS, 10**6, "v0"), start_ns=1))
        await counts.refresh(0)
        assert (counts.edge(EDGE).calls.count, counts.edge(EDGE).calls.rate) == (1_000_100, None)
        clock.now += 5
        totals.add(replace(point(CALLS, 10**6 + 50, "v0"), start_ns=1))
        await counts.refresh(0)
        assert counts.edge(EDGE).calls.rate == 10

    scenario()


def test_the_last_minutes(clock: Clock) -> None:
    @asynchronous
    async def scenario() -> None:
        totals = Totals()
        trends = Trends(totals, {}, clustered=False)
        for calls in (100, 150, 250):
            totals.add(point(CALLS, calls, "v1"))
            await trends.step()
            clock.now += STEP_SECONDS
        assert [it.calls for it in trends.of(EDGE)] == [*[None] * (STEPS - 2), 10, 20]
        assert trends.of(EdgeKey("", "no", "body")) == [Step(None, None, None, None)] * STEPS
        rates = chart("rates", "Calls", {"calls": [None, 10.0, 20.0, None, 5.0]}, "{:.0f}/s".format, "before")
        assert rates.paths == (f"M{WIDTH / 4:.0f} 55.0L{WIDTH / 2:.0f} 1.0M{WIDTH} 82.0",)
        assert rates.top == "20/s"

    scenario()


@asynchronous
async def test_calls_that_several_modules_judge_count_once() -> None:
    totals = Totals()
    counts = Counts(totals, {}, clustered=False)
    counts.modules = {"a": "first", "a2": "first", "b": "second"}
    for version, calls in (("a", 100), ("a2", 20), ("b", 90), ("older", 5)):
        totals.add(point(CALLS, calls, version, **{SIDE: "client"}))
    totals.add(point(CALLS, 80, "c", **{SIDE: "server"}))
    await counts.refresh(0)
    assert counts.edge(EDGE).calls.count == 125


@asynchronous
async def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    totals = Totals()
    counts = Counts(totals, {}, clustered=False)
    for number in range(25):
        totals.add(point(CALLS, 1, f"v{number}"))
    await counts.refresh(0)
    assert counts.edge(EDGE).calls.count == 10
    assert counts.left_out == 15
