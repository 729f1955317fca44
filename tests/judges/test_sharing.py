"""A limit and counts that four instances share are exact, also where some are killed: `make bench-sharing`, for a moment."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

import pytest

from appnet.processors import options
from appnet.processors.grpc import versions
from appnet.state import gateway
from appnet.state.layout import script
from benchmarks import sharing
from benchmarks.sharing import Found, InexactError, limited, summed
from tests.judges.linearizability.scene import INSTANCES, cut, kill
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.judges

RATE = 1000.0


@asynchronous
async def test_a_limit_is_exact(tmp_path: Path) -> None:
    found = Found(allowed=1501)
    await limited(3200, [lambda it: it.kill_store(0.1), cut(9)], tmp_path, found)
    assert (found.passed.total(), found.refused.total()) == (1501, 1699)
    assert found.troubles["store killed"] == 1


@asynchronous
async def test_counts_are_exact(tmp_path: Path) -> None:
    found = Found(allowed=0)
    await summed(4800, [kill(0, 2, 3), lambda it: it.kill_store(0.2)], tmp_path, found, RATE)
    assert found.counted.total() >= 4800 - 3 * 450, "a quarter of the calls before a kill had been seen elsewhere"
    assert found.lost[1] == 0, "it was not killed"
    assert {it for it in range(len(INSTANCES)) if found.troubles[f"{INSTANCES[it]} killed"]} == {0, 2, 3}


@asynchronous
async def test_a_store_that_forgets_which_batches_it_has_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flawed = script()
    for right, wrong in (
        (b"and last < batch then", b"then"),
        (b"local last = tonumber(known[2] or '0')", b"local last = 0"),
    ):
        assert flawed.count(right) == 1
        flawed = flawed.replace(right, wrong)
    for it in (options, versions, gateway):
        monkeypatch.setattr(it, "script", lambda: flawed)
    monkeypatch.setattr(gateway, "script_digest", lambda: sha1(flawed, usedforsecurity=False).hexdigest())
    monkeypatch.setattr(sharing, "_SETTLE_SECONDS", 2.0)
    with pytest.raises(InexactError, match="do not become"):
        await summed(4800, [cut(1), cut(9)], tmp_path, Found(allowed=0), RATE)
