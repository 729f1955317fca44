"""Strong state on WebAssembly and native Envoys together."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.trial import get
from appnet.state.server import running_store, store_folder, store_url
from tests.quickstart.support import settings_of
from tests.quickstart.test_merged_state import BOTH, counting, frontends, settled
from tests.quickstart.test_shared_state import HANDLERS, limited, patient, refused_while_away, upgraded, waiting_in
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.judges


async def answers(at: list[str], count: int) -> Counter[str]:
    """What became of so many calls, at the same time and by turns."""
    pages = [get(f"http://{at[number % len(at)]}/?key=hello") for number in range(count)]
    return Counter(it.answer.message for it in await asyncio.gather(*pages))


@asynchronous
async def test_wasm_and_native_envoys_let_a_limit_pass_exactly(tmp_path: Path) -> None:
    """Each of the control planes has a gateway of its own, and starts its proxies."""
    folder = store_folder()
    for it in ("native", "wasm"):
        (tmp_path / it).mkdir()
    native, wasm = (
        settings_of(patient(limited(tmp_path / it, 60)), tmp_path / it, it, store_url(folder))
        for it in ("native", "wasm")
    )
    with running_store(folder):
        async with LocalMachine(wasm) as one, LocalMachine(native) as other:
            at = [*frontends(one), *frontends(other)]
            assert len(at) == 4
            assert await answers(at, 100) == {"": 60, "rate limit": 40}


@pytest.mark.parametrize("name", HANDLERS)
@asynchronous
async def test_every_part_of_a_call_can_wait_in_wasm(tmp_path: Path, name: str) -> None:
    await waiting_in(HANDLERS[name], tmp_path, "wasm")


@asynchronous
async def test_calls_to_wasm_are_refused_while_the_store_is_away(tmp_path: Path) -> None:
    await refused_while_away(tmp_path, "wasm")


@asynchronous
async def test_upgrades_of_wasm_go_on_with_what_is_left(tmp_path: Path) -> None:
    await upgraded(tmp_path, "wasm")


@asynchronous
async def test_weak_state_beside_strong_state_in_wasm(tmp_path: Path) -> None:
    async with LocalMachine(settings_of(patient(counting(tmp_path, BOTH)), tmp_path, "wasm")) as machine:
        at = frontends(machine)
        assert await answers(at, 100) == {"": 60, "none left": 40}
        await settled(at, 60060)
