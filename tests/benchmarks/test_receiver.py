"""The benchmark of the receiver: all that is sent is taken, and what is hostile is refused."""

from __future__ import annotations

from pathlib import Path

from benchmarks import receiver
from tests.support.asynchronous import asynchronous


@asynchronous
async def test_a_short_run(tmp_path: Path) -> None:
    seen = await receiver.measure(5_000, 2.0, tmp_path)
    assert seen.sent == seen.taken >= receiver.POST
    assert seen.refused >= 1
    assert {it.metric for it in receiver.rows(seen)} >= {"at the end", "a question waits"}
