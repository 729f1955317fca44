"""The benchmark of shared state measures what it says: with few proxies, for a moment."""

from __future__ import annotations

import asyncio

from benchmarks import state
from benchmarks.state import (
    ADDED,
    ALONE,
    COMMIT,
    LEAST,
    LOCAL,
    NONE,
    NOTHING,
    OVER_HTTP,
    RATE,
    STRONG,
    TRIP,
    WEAK,
    Plan,
)


def test_all_ways_take_turns() -> None:
    plan = Plan(rounds=1, seconds=0.2, instances=2)
    told: list[str] = []
    rows = asyncio.run(state.run(plan, told.append)).rows(list(state.titles(plan)))
    assert {it.case for it in rows} == {
        *(NONE, LOCAL, WEAK, STRONG, OVER_HTTP, TRIP, NOTHING, COMMIT, "hot2", "own2", "many2"),
    }
    assert {it.case for it in rows if it.metric == ALONE} == {NONE, LOCAL, WEAK, STRONG, OVER_HTTP}
    assert {it.case for it in rows if it.metric == RATE} == {STRONG, "hot2", "own2", "many2"}
    value = {(it.case, it.metric): it.value for it in rows}
    assert value[TRIP, ADDED] > 0
    assert value[NOTHING, ADDED] > 0
    assert value[COMMIT, ADDED] > 0
    assert 0 < value["hot2", LEAST] <= 1
    assert {it.case for it in rows} <= state.titles(plan).keys()
    assert len(told) == 6 + 2 * len(plan.ways())
