"""`appnetctl serve` and `bootstrap`: Envoys that others start, and a control plane that comes and goes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from appnet.processors.envoy.native.loader import MODULES
from appnet.processors.envoy.targets import TARGETS
from appnet.processors.signing import TRUSTED_KEYS, SigningKey
from tests.quickstart.serving import (
    REFUSED,
    call,
    envoy,
    metrics,
    outcome,
    outlive_their_control_plane,
    ports,
    serving,
    started,
    variables,
    wait_for_text,
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


def test_waypoints_and_the_sidecars_of_their_clients_ask_one_control_plane(tmp_path: Path) -> None:
    ambient = sample(tmp_path).with_name("sample_echo_ambient.yaml")
    with serving(tmp_path, ambient, "--upstream=server=127.0.0.1:1") as serve:
        told = serve.rollout("status")
    assert "server-ambient" in told
    assert "frontend-sidecar" in told


def test_an_envoy_that_trusts_another_runs_nothing(tmp_path: Path) -> None:
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as stack:
        server = f"--upstream=server=127.0.0.1:{upstream.port}"
        serve = stack.enter_context(serving(tmp_path, sample(tmp_path), server))
        command = [*APPNETCTL, "bootstrap", "server-sidecar", *serve.places]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        needed = variables(made.stderr)
        assert needed.keys() == {MODULES, TRUSTED_KEYS}
        needed[TRUSTED_KEYS] = SigningKey.generate().public_text
        stack.enter_context(started(tmp_path, "server-sidecar", made.stdout, needed))
        serve.it.wait_for("server-sidecar refused version")
        serve.it.wait_for("has to be started with the variables that `appnetctl bootstrap` prints")
        reason = "the chain is signed by none of the keys in APPNET_TRUSTED_KEYS"
        wait_for_text(tmp_path / "server-sidecar.log", reason)
        with suppress(OSError):
            assert call(serve.first, "hello").grpc_status != 0
        assert upstream.seen == []


def test_who_shows_no_token_gets_nothing(tmp_path: Path) -> None:
    right, wrong = tmp_path / "token", tmp_path / "another"
    right.write_text("secret\n")
    wrong.write_text("another")
    with serving(tmp_path, sample(tmp_path), "--upstream=server=127.0.0.1:1", f"--token-file={right}") as serve:
        serve.it.wait_for("--token-file FILE")
        for shown in ([], [f"--token-file={wrong}"]):
            with envoy(tmp_path, "server-sidecar", *serve.places, *shown):
                wait_for_text(tmp_path / "server-sidecar.log", "this control plane wants a token")
                assert not serve.connected("server-sidecar")
        with envoy(tmp_path, "server-sidecar", *serve.places, f"--token-file={right}"):
            assert outcome(serve.first, "test") == REFUSED


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (None, [], "it cannot be read: No such file or directory"),
        ("", [], "there is no token in it: one line of ASCII without spaces"),
        ("two words", [], "there is no token in it"),
        ("s\u00e9cret", [], "there is no token in it"),
        ("x" * 5_000, [], "its token has 5000 characters, and no caller can show more than 4096"),
        (
            "secret",
            ["--control=0.0.0.0:18999"],
            "0.0.0.0:18999 is not of this machine alone, and a token may be read on its way",
        ),
    ],
)
def test_tokens_that_will_not_do(tmp_path: Path, text: str | None, options: list[str], told: str) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    command = [*APPNETCTL, "serve", str(sample(tmp_path)), "--upstream=server=127.0.0.1:1", f"--token-file={file}"]
    said = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 2
    assert f"--token-file: {'' if options else f'{file}: '}{told}" in " ".join(
        said.stderr.replace("Invalid value for ", "").split()
    )


def test_the_key_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret one for who serves, the public one for who writes a bootstrap elsewhere."""
    monkeypatch.setenv("APPNET_SIGNING_KEY", str(tmp_path / "key.pem"))
    with serving(tmp_path, sample(tmp_path), "--upstream=server=127.0.0.1:1") as serve:
        told = serve.it.rest_of_line("as another user or elsewhere, set ")
        monkeypatch.delenv("APPNET_SIGNING_KEY")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
        monkeypatch.setenv(TRUSTED_KEYS, variables(told)[TRUSTED_KEYS])
        with envoy(tmp_path, "server-sidecar", *serve.places):
            assert outcome(serve.first, "test") == REFUSED
    assert not (tmp_path / "another").exists()


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
