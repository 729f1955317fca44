"""Weak state on WebAssembly and native Envoys together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine
from appnet.observe.points import MERGES, PROCESSOR, STALENESS
from appnet.state.server import running_store, store_folder, store_url
from tests.quickstart.support import settings_of
from tests.quickstart.test_merged_state import calls, counting, frontends, settled, upgraded
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.judges


async def merged(machine: LocalMachine) -> None:
    """Returns once both proxies have told that they merge."""
    for _ in range(200):
        if len(machine.telemetry.totals.by([MERGES, STALENESS], [PROCESSOR])) == 2:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the proxies do not tell of merges")


@asynchronous
async def test_two_wasm_envoys_and_native_ones_have_one_count(tmp_path: Path) -> None:
    """Each of the control planes has a gateway of its own, and starts its proxies."""
    folder = store_folder()
    (tmp_path / "native").mkdir()
    (tmp_path / "wasm").mkdir()
    native, wasm = (
        settings_of(counting(tmp_path / it), tmp_path / it, it, store_url(folder)) for it in ("native", "wasm")
    )
    with running_store(folder):
        async with LocalMachine(wasm) as one:
            async with LocalMachine(native) as other:
                at = [*frontends(one), *frontends(other)]
                assert len(at) == 4
                await calls(at, 200)
                await settled(at, 200)
                for it in (one, other):
                    await merged(it)
            await calls(frontends(one), 20)
            await settled(frontends(one), 220)


@asynchronous
async def test_upgrades_of_wasm_go_on_with_the_count(tmp_path: Path) -> None:
    config, folder = counting(tmp_path), store_folder()
    settings = settings_of(config, tmp_path, "wasm", store_url(folder))
    with running_store(folder):
        await upgraded(settings, config.with_name("fault.appnet"))
    logs = [it.read_text() for it in tmp_path.rglob("envoy.log")]
    assert logs
    assert not any("the store of shared state" in it for it in logs), "those that end understand what they are told"
