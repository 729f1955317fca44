"""A limit and counts that four instances share are exact, also where some are killed: `make bench-sharing`, for a moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.sharing import Found, limited, summed
from tests.judges.linearizability.scene import INSTANCES, Scene, cut
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.judges


@asynchronous
async def test_a_limit_is_exact(tmp_path: Path) -> None:
    found = Found(allowed=1501)
    await limited(3200, tmp_path, found)
    assert (found.passed.total(), found.refused.total()) == (1501, 1699)
    assert all(found.passed[it] and found.refused[it] for it in range(len(INSTANCES)))


@asynchronous
async def test_counts_are_exact(tmp_path: Path) -> None:
    async def kill(scene: Scene) -> None:
        await asyncio.gather(*(scene.kill(it) for it in (0, 2, 3)), cut(9)(scene))

    found = Found(allowed=0)
    await summed(4800, [kill, lambda it: it.kill_store(0.2)], tmp_path, found, rate=1000.0)
    assert found.counted.total() >= 4800 - 3 * 450, "a quarter of the calls before a kill had been seen elsewhere"
    assert found.lost[1] == 0, "it was not killed"
    assert found.troubles["store killed"] == 1
