"""Counts are exact, though elements are upgraded and processors killed: `make bench-counts`, for a moment."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.counts import run
from benchmarks.journey import STOPS, Stop

pytestmark = pytest.mark.judges

GATE, WALL, WARD, DESK = STOPS


@pytest.mark.parametrize(("target", "killed"), [("native", WALL), ("wasm", WARD), ("native", DESK)])
def test_counts_are_those_of_the_load_generator(target: str, killed: Stop) -> None:
    found = asyncio.run(run(target, 3_000, lambda _: None, parts=(None, killed), rate=1_000.0))
    assert found.calls >= 3_000
    assert found.wrong == []
    (kill,) = found.kills
    assert kill.stop is killed
    assert kill.untold.calls < found.calls
