"""The listener passes each case of h2spec that an Envoy without AppNet passes; what that fails is Envoy's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from appnet.processors.envoy.targets import TARGETS
from tests.judges.chains import compiled
from tests.judges.h2spec import part_of, tried
from tests.judges.interop import Interop
from tests.judges.plain_envoy import plain_envoy
from tests.judges.sidecars import sidecars
from tests.judges.suite import PASSED, Outcomes
from tests.judges.tools import Tools

pytestmark = [pytest.mark.judges, pytest.mark.timeout(600)]
_TRIES = 3
"""A busy machine that is late with a frame fails a case that waits for it; what is wrong fails each time."""


def failed(outcomes: Outcomes) -> set[str]:
    return {it for it, outcome in outcomes.items() if outcome != PASSED}


@pytest.fixture(scope="module")
def failed_by_envoy(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("plain")

    async def run() -> Outcomes:
        async with plain_envoy(None, folder / "answering") as server, plain_envoy(server, folder / "proxy") as proxy:
            return await tried(tools, proxy.port, folder / "report.xml")

    outcomes = asyncio.run(run())
    found = failed(outcomes)
    assert len(found) < len(outcomes) / 4
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_listener(target: str, tools: Tools, failed_by_envoy: set[str], tmp_path: Path) -> None:
    interop = Interop(tools)

    async def run() -> set[str]:
        version = compiled("headers", interop.judged(tmp_path), target, tmp_path)
        async with (
            plain_envoy(None, tmp_path / "answering") as server,
            sidecars(version, server.port, tmp_path / "nodes") as entrance,
        ):

            async def still_failed(parts: Sequence[str]) -> set[str]:
                return failed(await tried(tools, entrance, tmp_path / "report.xml", parts)) - failed_by_envoy

            found = await still_failed(())
            for _ in range(_TRIES - 1):
                if found:
                    found &= await still_failed(sorted(set(map(part_of, found))))
            return found

    assert asyncio.run(run()) == set()
