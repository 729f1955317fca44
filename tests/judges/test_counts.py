"""Counts are exact, though elements are upgraded and processors killed: `make bench-counts`, for a moment."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.counts import run
from benchmarks.journey import STOPS, Stop

pytestmark = pytest.mark.judges

_, WALL, WARD, DESK = STOPS


@pytest.mark.parametrize(("target", "parts"), [("native", (None, WALL, DESK)), ("wasm", (WARD,))])
def test_counts_are_those_of_the_load_generator(target: str, parts: tuple[Stop | None, ...]) -> None:
    calls = 1_000 * len(parts)
    found = asyncio.run(run(target, calls, lambda _: None, parts, rate=800.0))
    assert found.calls >= calls
    assert found.wrong == []
    assert [it.stop for it in found.kills] == [it for it in parts if it]
