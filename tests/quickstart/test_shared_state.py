"""Strong state on native Envoys: one limit for all of them, in a store that `run` starts."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.trial import get
from appnet.observe.points import ELEMENT, PROCESSOR, ROUND_TRIPS, Value
from appnet.state.server import running_store, store_folder, store_url
from tests.quickstart.support import settings_of, two_frontends
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.e2e

SHARED = Path(__file__).parents[2] / "config" / "samples" / "shared"


def limited(folder: Path, burst: int) -> Path:
    """The sample with two frontends, whose proxies let so many calls pass together."""
    text = (SHARED / "global_rate_limit.appnet").read_text()
    fault = text.replace("init(rate = 1000.0, burst = 1000.0)", f"init(rate = 0.0, burst = {burst}.0)")
    return two_frontends(folder, fault=fault)


def patient(config: Path) -> Path:
    """The configuration, whose calls wait for a store as long as it takes: a gateway shares the test's event loop."""
    config.write_text(config.read_text().replace("\nspec:\n", "\nspec:\n  state:\n    timeout: 30s\n"))
    return config


@asynchronous
async def test_two_envoys_let_a_global_limit_pass_exactly(tmp_path: Path) -> None:
    burst = 40
    async with LocalMachine(settings_of(limited(tmp_path, burst), tmp_path, "native")) as machine:
        frontends = [it.program.address for it in machine.instances["frontend"]]
        assert len(frontends) == 2
        pages = [get(f"http://{frontends[number % 2]}/?key=hello") for number in range(2 * burst)]
        answers = Counter([it.answer.message for it in await asyncio.gather(*pages)])
        assert answers == {"": burst, "rate limit": burst}
        found: dict[tuple[str, ...], Value] = {}
        for _ in range(200):
            found = machine.telemetry.totals.by([ROUND_TRIPS], [ELEMENT, PROCESSOR])
            if len(found) == len(frontends):
                break
            await asyncio.sleep(0.1)
        assert {element for element, _ in found} == {"fault"}
        assert len(found) == len(frontends)


@asynchronous
async def test_two_programs_let_a_global_limit_pass_exactly(tmp_path: Path) -> None:
    """The same without a proxy, by programs that follow `run`."""
    limited(tmp_path, 40)  # whose elements are those of the programs, too
    shutil.copytree(SHARED.parent / "echo-py", tmp_path / "echo-py")
    config = tmp_path / "echo-py" / "sample_echo_grpc.yaml"
    manifest = config.with_name("echo.yaml")
    manifest.write_text(manifest.read_text().replace("replicas: 1", "replicas: 2", 1))
    async with LocalMachine(settings_of(config, tmp_path, "native")) as machine:
        frontends = [it.program.address for it in machine.instances["frontend"]]
        assert len(frontends) == 2
        pages = [get(f"http://{frontends[number % 2]}/?key=hello") for number in range(80)]
        answers = Counter([it.answer.message for it in await asyncio.gather(*pages)])
        assert answers == {"": 40, "rate limit": 40}


HANDLERS = {
    "a request with its message": (
        "req(rpc):\n    n = count\n    count = n + 1\n    if n >= 20:\n        send(err('enough'), Up)\n"
        "    set(rpc, 'Body', concat(get(rpc, 'Body'), 'more'))\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
    ),
    "a response at its headers": (
        "req(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    count = count + 1\n    if count > 20:\n        send(err('enough'), Up)\n"
        "    set_metadata(rpc, 'n', to_string(count))\n    send(rpc, Up)\n"
    ),
    "a response with its message": (
        "req(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    count = count + 1\n    if count > 20 and status(rpc) == 0:\n"
        "        send(err('enough'), Up)\n    set(rpc, 'Body', concat(get(rpc, 'Body'), '.'))\n    send(rpc, Up)\n"
    ),
    "all of a call": (
        "open(rpc):\n    inside = inside + 1\n    send(rpc, Down)\n\nreq(rpc):\n    if get(rpc, 'Body') == 'no':\n"
        "        inside = 0\n    send(rpc, Down)\n\nresp(rpc):\n    count = count + inside * 0 + 1\n    if count > 20:\n"
        "        send(err('enough'), Up)\n    send(rpc, Up)\n\nend(rpc):\n    inside = inside - 1\n"
    ),
}


@pytest.mark.parametrize("name", HANDLERS)
@asynchronous
async def test_every_part_of_a_call_can_wait(tmp_path: Path, name: str) -> None:
    await waiting_in(HANDLERS[name], tmp_path, "native")


async def waiting_in(handlers: str, tmp_path: Path, target: str) -> None:
    """Two proxies let 20 calls pass together, whose handlers wait for the store."""
    config = patient(limited(tmp_path, 1))
    state = "state:\n    @consistency(strong)\n    count: int\n    @consistency(strong)\n    inside: int\n\ninit():\n    pass\n\n"
    config.with_name("fault.appnet").write_text(state + handlers)
    async with LocalMachine(settings_of(config, tmp_path, target)) as machine:
        frontends = [it.program.address for it in machine.instances["frontend"]]
        pages = [get(f"http://{frontends[number % 2]}/?key=hello") for number in range(40)]
        answers = Counter([it.answer.message for it in await asyncio.gather(*pages)])
        assert answers == {"": 20, "enough": 20}


@asynchronous
async def test_calls_are_refused_while_the_store_is_away_and_pass_when_it_is_back(tmp_path: Path) -> None:
    await refused_while_away(tmp_path, "native")


async def refused_while_away(tmp_path: Path, target: str) -> None:
    """The store comes and goes twice."""
    folder, config = store_folder(), limited(tmp_path, 1000)
    async with LocalMachine(settings_of(config, tmp_path, target, store_url(folder))) as machine:
        url = f"{machine.url('frontend')}/?key=hello"
        for _ in range(2):
            assert (await get(url)).answer.message == "state of fault is unavailable"
            with running_store(folder):
                while (message := (await get(url)).answer.message) == "state of fault is unavailable":
                    await asyncio.sleep(0.02)
                assert message == ""
            while not (await get(url)).answer.message:
                await asyncio.sleep(0.02)


@asynchronous
async def test_upgrades_go_on_with_what_is_left(tmp_path: Path) -> None:
    await upgraded(tmp_path, "native")


async def upgraded(tmp_path: Path, target: str) -> None:
    """Proxies are upgraded between the calls that a limit lets pass."""
    burst = 10
    config = patient(limited(tmp_path, burst))
    element = config.with_name("fault.appnet")
    async with LocalMachine(settings_of(config, tmp_path, target)) as machine:
        frontends = [it.program.address for it in machine.instances["frontend"]]
        passed = 0
        for number in range(burst):
            passed += not (await get(f"http://{frontends[number % 2]}/?key=hello")).answer.message
            if number % 2:
                element.write_text(element.read_text() + "\n# changed\n".replace("changed", str(number)))
                element.write_text(element.read_text().replace("'rate limit", "'rate limit!"))
                assert await machine.controller.upgrade() is not None
        assert passed == burst
        answers = [(await get(f"http://{it}/?key=hello")).answer.message for it in frontends]
        assert answers == ["rate limit!!!!!"] * 2
