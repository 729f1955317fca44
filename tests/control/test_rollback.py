"""A version that a proxy refuses: every proxy goes on with the one before, also those that had taken it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.codegen.c import Code
from appnet.control.rollout import RolloutError
from appnet.deploy.local.machine import LocalMachine
from appnet.processors.envoy.sidecar import EnvoySidecar
from appnet.processors.envoy.targets import NATIVE, TARGETS
from tests.quickstart.support import judged, sample, settings_of
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.e2e

WHY = "Failed to initialize dynamic module: filter appnet.frontend_server.echo.server: the chain is no shared object"


@pytest.mark.parametrize("target", list(TARGETS))
@asynchronous
async def test_a_module_that_does_not_load(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = sample(tmp_path)
    firewall, logging = config.with_name("firewall.appnet"), config.with_name("logging.appnet")
    build = EnvoySidecar.build

    def damaged_firewall(processor: EnvoySidecar, code: Code, to: str) -> bytes:
        module = build(processor, code, to)
        return b"damaged" + module[7:] if "evil" in code.text else module

    async with LocalMachine(settings_of(config, tmp_path, target)) as machine:
        before = machine.controller.running.id
        firewall.write_text(firewall.read_text().replace("'test', 'No'", "'evil', 'No'"))
        logging.write_text(logging.read_text().replace("record_req", "record_requests"))
        monkeypatch.setattr(EnvoySidecar, "build", damaged_firewall)
        with pytest.raises(RolloutError, match="server-sidecar refused version") as told:
            await machine.controller.upgrade()
        assert (WHY in str(told.value)) == (target == NATIVE)
        assert machine.controller.running.id == before
        assert (await judged(machine.url("frontend"), "test")).message == "firewall"
        assert (await judged(machine.url("frontend"), "evil")).status == 0

        monkeypatch.undo()
        rollout = await machine.controller.upgrade()
        assert rollout is not None
        assert set(rollout.accept_seconds) == set(machine.nodes)
        assert set(rollout.changed) == {"frontend_server/echo.client", "frontend_server/echo.server"}
        assert (await judged(machine.url("frontend"), "evil")).message == "firewall"
        assert await machine.controller.upgrade() is None
