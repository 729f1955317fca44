"""`appnetctl serve` and `bootstrap`: Envoys that others start, and a control plane that comes and goes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from appnet.processors.envoy.targets import TARGETS
from tests.quickstart.serving import (
    metrics,
    outlive_their_control_plane,
    ports,
)
from tests.quickstart.support import APPNETCTL, sample

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
