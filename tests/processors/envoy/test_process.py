"""Envoys as child processes: they start, answer, and never outlive whoever started them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appnet.processors.envoy.proxy.admin import Admin, AdminError
from appnet.processors.envoy.proxy.bootstrap import Identity, bootstrap_json
from appnet.processors.envoy.proxy.process import EnvoyError, EnvoyProcess, EnvoySettings, envoy_binary
from appnet.processors.processor import Contact
from appnet.system.address import Address
from tests.support.asynchronous import asynchronous
from tests.support.proxies import bench

NOWHERE = Address("127.0.0.1", 1)


def settings(folder: Path, **other: object) -> EnvoySettings:
    return EnvoySettings(Identity("node-1", "echo"), folder, NOWHERE, **other)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"  # ended; nobody is left who would read its exit code


def test_the_wheel_brings_the_envoy_we_measure_with() -> None:
    version = subprocess.run([envoy_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"/1\.40\.\d+/", version)


@asynchronous
async def test_a_proxy_starts_answers_and_ends(tmp_path: Path) -> None:
    async with bench(tmp_path, workers=2) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1"))
        await b.envoy.ready()
        pid = b.envoy.pid
        stats = await b.envoy.admin.stats("^server.concurrency$")
        assert stats == {"server.concurrency": 2}
        assert "ingress-upstream" in await b.envoy.admin.get("/config_dump")
        before = b.envoy.cpu_nanoseconds()
        await b.call()
        assert b.envoy.cpu_nanoseconds() > before > 0
    assert gone(pid)
    assert not b.envoy.running
    await b.envoy.stop()


@asynchronous
async def test_a_proxy_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    envoy = EnvoyProcess(settings(tmp_path, log_level="no-such-level"))
    with pytest.raises(EnvoyError, match=r"node-1.*exited with code 1(?s:.*)no-such-level"):
        await envoy.start()
    assert not envoy.running


@asynchronous
async def test_a_proxy_without_controller_is_not_ready_and_says_why(tmp_path: Path) -> None:
    async with EnvoyProcess(settings(tmp_path)) as envoy:
        with pytest.raises(EnvoyError, match="did not become ready in time"):
            await envoy.ready(0.3)
        with pytest.raises(EnvoyError, match="listener 'ingress'"):
            await envoy.listener_address("ingress", 0.3)


@asynchronous
async def test_errors_of_the_admin_interface_say_what_was_asked(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match=r"GET /ready at 127\.0\.0\.1:1: "):
        await Admin(NOWHERE).get("/ready")
    async with EnvoyProcess(settings(tmp_path)) as envoy:
        with pytest.raises(AdminError, match=r"GET /nothing at .*: 404"):
            await envoy.admin.get("/nothing")


PARENT = """
import asyncio, sys
from pathlib import Path
from appnet.system.address import Address
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings

async def main():
    envoys = []
    for number in range(2):
        identity = Identity(f"node-{number}", "echo")
        envoy = EnvoyProcess(EnvoySettings(identity, Path(sys.argv[1], str(number)), Address("127.0.0.1", 1)))
        await envoy.start()
        envoys.append(envoy)
    print(*(envoy.pid for envoy in envoys), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_proxy_outlives_a_killed_parent(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
        parent.send_signal(number)
        parent.wait()
    deadline = time.monotonic() + 5
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if not gone(pid)]}"
        time.sleep(0.01)


def test_a_bootstrap_without_telemetry_names_no_sink() -> None:
    with_sink = bootstrap_json(Identity("n", "s"), Contact(NOWHERE), Address("127.0.0.1", 4318))
    assert "appnet-telemetry" in with_sink
    assert "appnet-telemetry" not in bootstrap_json(Identity("n", "s"), Contact(NOWHERE), None)
