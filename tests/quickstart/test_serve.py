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

from appnet.processors.envoy.listeners import UNREACHED
from appnet.processors.envoy.targets import TARGETS
from tests.quickstart.serving import (
    call,
    envoy,
    metrics,
    outcome,
    outlive_their_control_plane,
    ports,
    serving,
    wait_for_port,
)
from tests.quickstart.support import APPNETCTL, sample
from tests.support.raw_grpc import RecordingServer, frame, string_field

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("target", list(TARGETS))
def test_envoys_started_by_hand_outlive_their_control_plane(tmp_path: Path, target: str) -> None:
    outlive_their_control_plane(tmp_path, target)


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


@pytest.mark.parametrize("option", ["--control", "--records", "--status"])
def test_what_is_served_already(tmp_path: Path, option: str) -> None:
    config = sample(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = dict(zip(("--control", "--records", "--status"), ports(3), strict=True))
        places = [f"{name}=127.0.0.1:{it}" for name, it in {**free, option: port}.items()]
        command = [*APPNETCTL, "serve", str(config), "--upstream=server=127.0.0.1:1", *places]
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 1
    why = f"{option}: cannot listen on 127.0.0.1:{port}: Address already in use; choose another, or stop the program that listens there"
    assert " ".join(told.stderr.split()) == f"error: {why}"


def failures(port: int) -> set[tuple[int | None, str | None]]:
    """How calls end badly, of many; the fault element's own are none."""
    answers = (call(port, "hello") for _ in range(100))
    ends = {(it.grpc_status, it.header("grpc-message")) for it in answers}
    return {it for it in ends if it[0] != 0 and it[1] != "fault_injected"}


@pytest.mark.parametrize("target", list(TARGETS))
def test_an_instance_that_is_dead_costs_no_call(tmp_path: Path, target: str) -> None:
    """Neither where the server has gone, nor where its proxy has, too."""
    config = sample(tmp_path)
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as stack:
        (dead,) = ports(1)
        instances = [f"--upstream=server=127.0.0.1:{it}" for it in (upstream.port, dead)]
        serve = stack.enter_context(serving(tmp_path, config, *instances, f"--target={target}", nodes=3))
        stack.enter_context(envoy(tmp_path, "server-0-sidecar", *serve.places))
        frontend = serve.first + 2
        with envoy(tmp_path, "server-1-sidecar", *serve.places):
            stack.enter_context(envoy(tmp_path, "frontend-sidecar", *serve.places))
            serve.it.wait_for(" connected", times=3)
            assert outcome(frontend, "hello")[0] == 0
            assert call(serve.first + 1, "hello").grpc_status == 14, "nobody is behind this one"
            assert failures(frontend) == set()
        assert failures(frontend) == set()
        assert len(upstream.seen) > 100


def test_what_proxies_tell_each_other_stays_between_them(tmp_path: Path) -> None:
    """All instances are dead."""
    with ExitStack() as stack:
        instances = [f"--upstream=server=127.0.0.1:{it}" for it in ports(2)]
        serve = stack.enter_context(serving(tmp_path, sample(tmp_path), *instances, nodes=3))
        for node in ("server-0-sidecar", "server-1-sidecar", "frontend-sidecar"):
            stack.enter_context(envoy(tmp_path, node, *serve.places))
        serve.it.wait_for(" connected", times=3)
        wait_for_port(serve.first + 2)
        assert call(serve.first, "hello").header(UNREACHED) == "1"
        answers = [call(serve.first + 2, "hello") for _ in range(20)]
        assert 14 in {it.grpc_status for it in answers}
        assert {it.header(UNREACHED) for it in answers} == {None}


def test_it_outlives_who_started_it(tmp_path: Path) -> None:
    config = sample(tmp_path)
    control, records, status = ports(3)
    places = [f"--control=127.0.0.1:{control}", f"--records=127.0.0.1:{records}", f"--status=127.0.0.1:{status}"]
    command = [*APPNETCTL, "serve", str(config), "--upstream=server=127.0.0.1:1", *places]
    shell = f"{shlex.join(command)} > {tmp_path / 'log'} 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout)
    try:
        deadline = time.monotonic() + 30
        while "up: control plane at" not in (tmp_path / "log").read_text():
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
    assert "error[C061]: `server` does not run here" in told.stderr
