"""A server with replicas: each runs behind a sidecar of its own, and the client's chain chooses among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.processors.envoy.targets import TARGETS
from tests.quickstart.support import ask, running, sample, settings_of
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.e2e

REPLICAS = 3
CHOOSER = """\
state:
    pass

init():
    pass

req(rpc):
    if to_int(size(get_backends())) != 3:
        send(err('not three hosts'), Up)
    set(rpc, 'dst', to_int(get(rpc, 'Body')))
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def replicated(folder: Path) -> Path:
    """The sample with three servers."""
    config = sample(folder)
    manifest = config.with_name("echo.yaml")
    first, last = manifest.read_text().rsplit("replicas: 1", 1)  # the server's
    manifest.write_text(f"{first}replicas: {REPLICAS}{last}")
    return config


@pytest.mark.parametrize("target", list(TARGETS))
@asynchronous
async def test_the_chain_chooses_the_replica(tmp_path: Path, target: str) -> None:
    config = replicated(tmp_path)
    config.with_name("fault.appnet").write_text(CHOOSER)
    async with LocalMachine(settings_of(config, tmp_path, target)) as machine:
        names = [it.pod for it in machine.instances["server"]]
        assert list(machine.nodes) == [*(f"server-{it}-sidecar" for it in range(REPLICAS)), "frontend-sidecar"]
        for _ in range(2):
            answers = [(await ask(machine.url("frontend"), str(number))).text for number in range(REPLICAS)]
            assert answers == [f"You've hit {name}" for name in names]
        firewall = config.with_name("firewall.appnet")
        firewall.write_text(firewall.read_text().replace("'test', 'No'", "'1', 'No'"))
        rollout = await machine.controller.upgrade()
        assert rollout is not None
        assert list(rollout.accept_seconds) == [f"server-{it}-sidecar" for it in range(REPLICAS)]
        judged = [(await ask(machine.url("frontend"), str(number))).message for number in range(REPLICAS)]
        assert judged == ["", "firewall", ""]
        manifest = config.with_name("echo.yaml")
        manifest.write_text(manifest.read_text().replace(f"replicas: {REPLICAS}", "replicas: 2"))
        with pytest.raises(DiagnosticError, match="number of replicas"):
            await machine.controller.upgrade()


def test_the_guide_takes_the_answer_of_any_replica(tmp_path: Path) -> None:
    with running(tmp_path, replicated(tmp_path), "--once") as it:
        assert it.process.wait(120) == 0, it.output
    assert it.output.endswith("all checks passed\n")
