"""Weak state on native Envoys: each has its copy, and all have the same in the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine, RunSettings
from appnet.deploy.local.trial import get
from appnet.observe.points import ELEMENT, MERGES, PROCESSOR, STALENESS, Value
from appnet.processors.envoy.node import EnvoyNode
from appnet.state.server import running_store, store_folder, store_url
from tests.quickstart.support import settings_of, two_frontends
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.e2e

COUNT = """\
state:
    @consistency(weak) @combiner(sum)
    count: int

init():
    pass

req(rpc):
    if get(rpc, 'body') == 'ask':
        send(err(to_string(count)), Up)
    count = count + 1
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def counting(folder: Path, element: str = COUNT) -> Path:
    """The sample with two frontends, whose proxies count calls."""
    return two_frontends(folder, fault=element)


def frontends(machine: LocalMachine) -> list[str]:
    """Where the applications behind the proxies are."""
    return [str(it.program.address) for it in machine.instances["frontend"]]


async def call(frontend: str, key: str) -> str:
    """What refuses a call; nothing where it passes."""
    return (await get(f"http://{frontend}/?key={key}")).answer.message


async def calls(at: list[str], count: int) -> None:
    """So many calls, by turns."""
    answers = await asyncio.gather(*(call(at[number % len(at)], "hello") for number in range(count)))
    assert set(answers) == {""}


async def settled(at: list[str], wanted: int) -> None:
    """Returns once the proxies of all frontends have this count."""
    found: list[str] = []
    for _ in range(600):
        found = [await call(it, "ask") for it in at]
        if found == [str(wanted)] * len(found):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the proxies have {found}, not {wanted}")


@asynchronous
async def test_two_envoys_have_one_count_in_the_end(tmp_path: Path) -> None:
    async with LocalMachine(settings_of(counting(tmp_path), tmp_path, "native")) as machine:
        at = frontends(machine)
        assert len(at) == 2
        await calls(at, 90)
        await settled(at, 90)
        found: dict[tuple[str, ...], Value] = {}
        for _ in range(200):
            found = machine.telemetry.totals.by([MERGES, STALENESS], [ELEMENT, PROCESSOR])
            if len(found) == len(at):
                break
            await asyncio.sleep(0.1)
        assert {element for element, _ in found} == {"fault"}
        assert len(found) == len(at)


@asynchronous
async def test_an_envoy_that_is_killed_loses_only_what_it_has_not_merged(tmp_path: Path) -> None:
    async with LocalMachine(settings_of(counting(tmp_path), tmp_path, "native")) as machine:
        at = frontends(machine)
        await calls(at, 40)
        await settled(at, 40)
        proxy = machine.nodes["frontend-1-sidecar"]
        assert isinstance(proxy, EnvoyNode)
        await calls(at[1:], 1)  # which may be merged in time, or not
        os.kill(proxy.process.pid, signal.SIGKILL)
        await calls(at[:1], 10)
        for _ in range(20):
            assert await call(at[0], "ask") in {"50", "51"}
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("target", ["native", "wasm"])
@asynchronous
async def test_without_its_store_each_goes_on_and_all_merge_on_its_return(tmp_path: Path, target: str) -> None:
    folder = store_folder()
    async with LocalMachine(settings_of(counting(tmp_path), tmp_path, target, store_url(folder))) as machine:
        at = frontends(machine)
        await calls(at, 10)
        with running_store(folder):
            await settled(at, 10)
            await calls(at, 30)
            await settled(at, 40)
            await asyncio.sleep(2)  # for the machine that WebAssembly has on an Envoy's main thread: it merges, too
        await calls(at, 20)
        assert [int(await call(it, "ask")) for it in at] == [50, 50]  # each knows of its own
        with running_store(folder):  # which has nothing
            await settled(at, 60)


@asynchronous
async def test_upgrades_go_on_with_the_count(tmp_path: Path) -> None:
    config, folder = counting(tmp_path), store_folder()
    element = config.with_name("fault.appnet")
    settings = settings_of(config, tmp_path, "native", store_url(folder))
    with running_store(folder):
        await upgraded(settings, element)
    logs = [it.read_text() for it in tmp_path.rglob("envoy.log")]
    assert logs
    assert not any("the store of shared state" in it for it in logs), "those that end understand what they are told"


async def upgraded(settings: RunSettings, element: Path) -> None:
    """Upgrades a chain three times while it counts."""
    async with LocalMachine(settings) as machine:
        at = frontends(machine)
        for number in range(1, 4):
            await calls(at, 20)
            element.write_text(
                COUNT.replace(
                    "send(err(to_string(count)), Up)", f"n{number} = count\n        send(err(to_string(n{number})), Up)"
                )
            )
            assert await machine.controller.upgrade() is not None
            await settled(at, 20 * number)


BOTH = """\
state:
    @consistency(strong)
    left: int
    @consistency(weak) @combiner(sum)
    count: int
    @consistency(weak) @combiner(sum)
    keys: Map<string, int>

init():
    left = 60

req(rpc):
    key = get(rpc, 'body')
    if key == 'ask':
        send(err(to_string(count * 1000 + get(keys, 'hello', 0))), Up)
    if left < 1:
        send(err('none left'), Up)
    left = left - 1
    count = count + 1
    set(keys, key, get(keys, key, 0) + 1)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@asynchronous
async def test_weak_state_beside_strong_state(tmp_path: Path) -> None:
    """Steps that conflict run again, and what they changed of weak state counts once."""
    async with LocalMachine(settings_of(counting(tmp_path, BOTH), tmp_path, "native")) as machine:
        at = frontends(machine)
        answers = Counter(await asyncio.gather(*(call(at[number % 2], "hello") for number in range(100))))
        assert answers == {"": 60, "none left": 40}
        await settled(at, 60060)
