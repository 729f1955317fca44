"""A version that a proxy refuses: every proxy goes on with the one before, also those that had taken it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalRunner, RolloutError, RunSettings
from appnet.processors import build as processors_build
from appnet.processors.envoy.build import Target, build
from appnet.samples.guide import Answer, get
from tests.quickstart.support import sample
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.e2e


async def judged(runner: LocalRunner, key: str) -> Answer:
    answer = await get(runner.url, key)
    return await judged(runner, key) if answer.message == "fault_injected" else answer


@pytest.mark.parametrize("target", list(Target))
@asynchronous
async def test_a_module_that_does_not_load(tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    config = sample(tmp_path)
    firewall, logging = config.with_name("firewall.appnet"), config.with_name("logging.appnet")

    def damaged_firewall(source: str, to: Target) -> bytes:
        module = build(source, to)
        return b"damaged" + module[7:] if "evil" in source else module

    async with LocalRunner(RunSettings(config, tmp_path / "run", target)) as runner:
        before = runner.running.version
        firewall.write_text(firewall.read_text().replace("'test', 'No'", "'evil', 'No'"))
        logging.write_text(logging.read_text().replace("record_req", "record_requests"))
        monkeypatch.setattr(processors_build, "build", damaged_firewall)
        with pytest.raises(RolloutError, match="server-sidecar refused version"):
            await runner.upgrade()
        assert runner.running.version == before
        assert (await judged(runner, "test")).message == "firewall"
        assert (await judged(runner, "evil")).status == 0

        monkeypatch.undo()
        rollout = await runner.upgrade()
        assert rollout is not None
        assert set(rollout.accept_seconds) == set(runner.proxies)
        assert set(rollout.changed) == {"client", "server"}
        assert (await judged(runner, "evil")).message == "firewall"
        assert await runner.upgrade() is None
