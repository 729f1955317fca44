"""The echo application whose programs run their chains themselves, whatever language they are in."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from appnet.deploy.local.machine import LocalMachine
from tests.quickstart.support import ECHO, judged, refusals, running, settings_of

CONFIG = "sample_echo_grpc.yaml"


def copied(folder: Path, name: str) -> Path:
    """The configuration of a copy of a sample, which a test may change."""
    for it in ("echo", name):
        shutil.copytree(ECHO.with_name(it), folder / it)
    return folder / name / CONFIG


def run_once(folder: Path, config: Path) -> None:
    """The guide's calls, without any proxy."""
    with running(folder, config, "--once") as it:
        assert it.process.wait(120) == 0, it.output
    output = it.output
    assert re.search(r"\$ curl 'http://127\.0\.0\.1:\d+/\?key=hello'\nYou've hit server-\w+\n", output), output
    assert re.search(r"\$ curl 'http://127\.0\.0\.1:\d+/\?key=test'\nEcho server returns an error\.\n", output), output
    assert "'hello'  at 'frontend-grpc'" in output
    assert re.search(r"metrics\.latency: .* median \d", output), output
    assert output.endswith("all checks passed\n")
    assert "envoy" not in output


def upgrade_while_it_runs(folder: Path, config: Path) -> None:
    """Programs take what is saved, without starting again."""

    async def scenario() -> None:
        async with LocalMachine(settings_of(config, folder)) as machine:
            url = machine.url("frontend")
            assert (await judged(url, "hello")).text.startswith("You've hit")
            assert (await judged(url, "test")).message == "firewall"
            firewall = folder / "echo" / "firewall.appnet"
            firewall.write_text(firewall.read_text().replace("'test'", "'hello'"))
            rollout = await machine.controller.upgrade()
            assert rollout is not None
            assert set(rollout.accept_seconds) == {"server-grpc"}
            assert (await judged(url, "hello")).message == "firewall"
            assert (await judged(url, "test")).text.startswith("You've hit")
            assert not machine.strangers()
            counted = await refusals(machine, "firewall", 2)
            assert counted == {("server", "ABORTED"): 2}, "by both versions"

    asyncio.run(scenario())
