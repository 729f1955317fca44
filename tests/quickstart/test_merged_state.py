"""Weak state on native Envoys: each has its copy, and all have the same in the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.trial import get
from appnet.observe.points import ELEMENT, MERGES, PROCESSOR, STALENESS, Value
from tests.quickstart.support import sample, settings_of
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
    config = sample(folder)
    manifest = config.with_name("echo.yaml")
    manifest.write_text(manifest.read_text().replace("replicas: 1", "replicas: 2", 1))
    config.with_name("fault.appnet").write_text(element)
    return config


def frontends(machine: LocalMachine) -> list[str]:
    """Where the applications behind the proxies are."""
    return [it.program.address for it in machine.instances["frontend"]]


async def call(frontend: str, key: str) -> str:
    """What refuses a call; nothing where it passes."""
    return (await get(f"http://{frontend}/?key={key}")).answer.message


async def settled(machine: LocalMachine, wanted: str) -> None:
    """Returns once the proxies of all frontends have this count."""
    found: list[str] = []
    for _ in range(600):
        found = [await call(it, "ask") for it in frontends(machine)]
        if found == [wanted] * len(found):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the proxies have {found}, not {wanted}")


@asynchronous
async def test_two_envoys_have_one_count_in_the_end(tmp_path: Path) -> None:
    async with LocalMachine(settings_of(counting(tmp_path), tmp_path, "native")) as machine:
        at = frontends(machine)
        assert len(at) == 2
        answers = await asyncio.gather(*(call(at[number % 2], "hello") for number in range(90)))
        assert set(answers) == {""}
        await settled(machine, "90")
        found: dict[tuple[str, ...], Value] = {}
        for _ in range(200):
            found = machine.telemetry.totals.by([MERGES, STALENESS], [ELEMENT, PROCESSOR])
            if len(found) == len(at):
                break
            await asyncio.sleep(0.1)
        assert {element for element, _ in found} == {"fault"}
        assert len(found) == len(at)
