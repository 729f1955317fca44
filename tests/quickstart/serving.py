"""`appnetctl serve`, and Envoys beside it as somebody would start them by hand."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from appnet.deploy.local.foreseen import CallerAnswer
from appnet.processors.envoy.proxy.binary import envoy_binary
from tests.quickstart.support import APPNETCTL, Running, judged, running, sample
from tests.support.raw_grpc import RawClient, RecordingServer, Reply, frame, string_field

REFUSED = (10, "firewall")


def ports(count: int) -> list[int]:
    """Neighbours that are free now."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                for number in range(1, count):
                    stack.enter_context(socket.create_server(("127.0.0.1", first + number)))
            except (OSError, OverflowError):
                continue
        return list(range(first, first + count))


@contextmanager
def envoy(folder: Path, node: str, *options: str, binary: Path | None = None) -> Iterator[None]:
    """An Envoy as somebody would start it by hand; by default AppNet's own."""
    made = subprocess.run([*APPNETCTL, "bootstrap", node, *options], capture_output=True, text=True, check=True)
    with started(folder, node, made.stdout, variables(made.stderr), binary=binary):
        yield


def variables(told: str) -> dict[str, str]:
    """Those that an Envoy needs, as `bootstrap` and `listener` print them."""
    return dict(re.findall(r"\b([A-Z_]+)=(\S+)", " ".join(told.split())))


@contextmanager
def started(
    folder: Path, node: str, bootstrap: str, needed: dict[str, str], *, binary: Path | None = None
) -> Iterator[None]:
    """An Envoy with this bootstrap and the variables that it needs."""
    (folder / f"{node}.json").write_text(bootstrap)
    environment = {**os.environ, **needed}
    command = [
        binary or envoy_binary(),
        "-c",
        str(folder / f"{node}.json"),
        "--disable-hot-restart",
        "--concurrency",
        "1",
    ]
    with (folder / f"{node}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def call(port: int, word: str) -> Reply:
    """What a call brings."""
    with RawClient(port) as client:
        return client.call("/echo.EchoService/echo", frame(string_field(1, word.encode())))


def outcome(port: int, word: str) -> tuple[int, str]:
    """Status and message of a call, again where the fault element made them, or the proxies are not there yet."""
    deadline = time.monotonic() + 30
    while True:
        assert time.monotonic() < deadline
        try:
            answer = call(port, word)
        except OSError:
            time.sleep(0.1)
            continue
        told = (answer.grpc_status, answer.header("grpc-message") or "")
        if told[1] != "fault_injected" and told[0] != 14:
            return told


def answered(url: str, key: str) -> CallerAnswer:
    """What the frontend at this URL answers, again while programs and proxies are not all there yet."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = asyncio.run(judged(url, key))
            if answer.status != 14:
                return answer
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def wait_for_text(file: Path, text: str) -> None:
    """Waits until the text is in the file, the log of an Envoy."""
    deadline = time.monotonic() + 30
    while text not in file.read_text(errors="replace"):
        assert time.monotonic() < deadline, file.read_text(errors="replace")
        time.sleep(0.05)


class Serve:
    """A running `appnetctl serve`. ``control`` and ``records`` as `bootstrap` takes them."""

    def __init__(self, it: Running, places: list[str], status: int, first: int) -> None:
        self.it, self.places, self.status, self.first = it, places, status, first

    def connected(self, node: str) -> bool:
        """Whether there is such an Envoy."""
        return f'appnet_node_connected{{node="{node}"}} 1.0' in metrics(self.status)

    def rollout(self, *arguments: str, fails: bool = False) -> str:
        """What `appnetctl rollout` says."""
        command = [*APPNETCTL, "rollout", *arguments, f"--status=127.0.0.1:{self.status}"]
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert made.returncode == int(fails), made.stderr
        return made.stderr if fails else made.stdout


@contextmanager
def serving(folder: Path, config: Path, *options: str, nodes: int = 2) -> Iterator[Serve]:
    """`serve`, up, on ports of its own; its nodes listen from ``first`` on."""
    control, records, status, first, *_ = ports(3 + nodes)
    places = [f"--control=127.0.0.1:{control}", f"--records=127.0.0.1:{records}"]
    command = [config, *places, f"--status=127.0.0.1:{status}", f"--port={first}", *options]
    with running(folder, *command, command="serve") as it:
        it.wait_for("up: control plane at")
        yield Serve(it, places, status, first)


def outlive_their_control_plane(tmp_path: Path, target: str, binary: Path | None = None) -> None:
    """Two Envoys get their chains, keep them while `serve` is killed, and take the version of the one that comes back."""
    config = sample(tmp_path)
    firewall = config.with_name("firewall.appnet")
    control, records, status, server, frontend = ports(5)
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as envoys:
        places = [f"--control=127.0.0.1:{control}", f"--records=127.0.0.1:{records}"]
        serve = [config, f"--upstream=server=127.0.0.1:{upstream.port}", *places, f"--status=127.0.0.1:{status}"]
        serve += [f"--port={server}", f"--target={target}"]

        def served() -> Running:
            it = stack.enter_context(running(tmp_path, *serve, command="serve"))
            it.wait_for("up: control plane at")
            return it

        with ExitStack() as stack:
            it = served()
            assert f"server-sidecar will listen on 127.0.0.1:{server}" in it.output
            assert f"frontend calls server at 127.0.0.1:{frontend}" in it.output
            assert 'appnet_node_connected{node="server-sidecar"} 0.0' in metrics(status)
            with envoy(tmp_path, "servre-sidecar", *places):
                it.wait_for("servre-sidecar connected, but this application has no such node; nodes: server-sidecar, ")
            for node in ("server-sidecar", "frontend-sidecar"):
                envoys.enter_context(envoy(tmp_path, node, *places, binary=binary))
            assert outcome(frontend, "hello")[0] == 0
            assert outcome(frontend, "test") == REFUSED
            it.wait_for("frontend-sidecar connected")
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
