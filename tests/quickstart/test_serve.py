"""`appnetctl serve` and `bootstrap`: Envoys that others start, and a control plane that comes and goes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from appnet.processors.envoy.targets import TARGETS
from tests.quickstart.serving import REFUSED, envoy, metrics, outcome, ports
from tests.quickstart.support import APPNETCTL, Running, running, sample
from tests.support.raw_grpc import RecordingServer, frame, string_field

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("target", list(TARGETS))
def test_envoys_started_by_hand_outlive_their_control_plane(tmp_path: Path, target: str) -> None:
    config = sample(tmp_path)
    firewall = config.with_name("firewall.appnet")
    control, records, status, server, frontend = ports(5)
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as envoys:
        places = [f"--control=127.0.0.1:{control}", f"--records=127.0.0.1:{records}"]
        serve = [config, f"--upstream=server=127.0.0.1:{upstream.port}", *places, f"--status=127.0.0.1:{status}"]
        serve += [f"--port={server}", f"--target={target}"]

        def served() -> Running:
            it = stack.enter_context(running(tmp_path, *serve, command="serve"))
            it.wait_for("up: nodes connect to")
            return it

        with ExitStack() as stack:
            it = served()
            assert f"server-sidecar is to listen on 127.0.0.1:{server}" in it.output
            assert f"frontend calls server at 127.0.0.1:{frontend}" in it.output
            assert 'appnet_node_connected{node="server-sidecar"} 0.0' in metrics(status)
            with envoy(tmp_path, "servre-sidecar", *places):
                it.wait_for("servre-sidecar is connected, but is no node of this application; nodes: server-sidecar, ")
            for node in ("server-sidecar", "frontend-sidecar"):
                envoys.enter_context(envoy(tmp_path, node, *places))
            assert outcome(frontend, "hello")[0] == 0
            assert outcome(frontend, "test") == REFUSED
            it.wait_for("frontend-sidecar is connected")
            assert 'appnet_node_acceptance{acceptance="acked",node="frontend-sidecar"} 1.0' in metrics(status)
            it.process.kill()
            it.process.wait(10)
            assert outcome(frontend, "test") == REFUSED, "what runs runs on"
            firewall.write_text(firewall.read_text().replace("'test', 'No'", "'evil', 'No'"))
        with ExitStack() as stack:
            it = served()
            deadline = time.monotonic() + 30
            while outcome(frontend, "evil") != REFUSED:
                assert time.monotonic() < deadline, "the version that came while nobody was there"
            assert outcome(frontend, "test")[0] == 0
            firewall.write_text(firewall.read_text().replace("'evil', 'No'", "'wicked', 'No'"))
            it.wait_for("server-sidecar accepted after")
            assert outcome(frontend, "wicked") == REFUSED
            assert outcome(frontend, "evil")[0] == 0
            assert it.stop() == 0


def test_a_bootstrap_is_one_for_envoy() -> None:
    made = subprocess.run([*APPNETCTL, "bootstrap", "a-sidecar"], capture_output=True, text=True, check=True)
    assert json.loads(made.stdout)["node"] == {"id": "a-sidecar", "cluster": "a"}


@pytest.mark.parametrize("option", ["--control", "--records", "--admin"])
def test_addresses_that_are_none(option: str) -> None:
    made = subprocess.run(
        [*APPNETCTL, "bootstrap", "a", option, "nowhere"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 2
    assert "'nowhere' is not HOST:PORT" in " ".join(made.stderr.split())


def test_what_is_served_already(tmp_path: Path) -> None:
    config = sample(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*APPNETCTL, "serve", str(config), "--upstream=server=127.0.0.1:1", f"--control=127.0.0.1:{port}"]
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr


def test_it_outlives_who_started_it(tmp_path: Path) -> None:
    config = sample(tmp_path)
    control, records, status = ports(3)
    places = [f"--control=127.0.0.1:{control}", f"--records=127.0.0.1:{records}", f"--status=127.0.0.1:{status}"]
    command = [*APPNETCTL, "serve", str(config), "--upstream=server=127.0.0.1:1", *places]
    shell = f"{shlex.join(command)} > {tmp_path / 'log'} 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout)
    try:
        deadline = time.monotonic() + 30
        while "up: nodes connect to" not in (tmp_path / "log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # three times as long as `run` needs to notice
        assert "appnet_version_info" in metrics(status)
    finally:
        os.kill(pid, signal.SIGTERM)


def test_servers_have_to_be_named(tmp_path: Path) -> None:
    told = subprocess.run(
        [*APPNETCTL, "serve", str(sample(tmp_path))], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 2
    assert "error[C061]: nothing here runs `server`" in told.stderr
