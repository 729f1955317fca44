"""`appnetctl run` with applications of all kinds: many edges, servers that run already, programs that cannot start."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import yaml

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.targets import TARGETS
from tests.quickstart.support import ECHO, gone, running, sample

pytestmark = pytest.mark.e2e

HOTEL = ECHO.with_name("hotel")
HOTEL_CONFIG = "sample_hotel_sidecar.yaml"


def hotel(folder: Path) -> Path:
    """A copy of the hotel sample."""
    shutil.copytree(HOTEL, folder / "hotel")
    return folder / "hotel" / HOTEL_CONFIG


@pytest.mark.parametrize("target", list(TARGETS))
def test_many_services_and_edges(tmp_path: Path, target: str) -> None:
    with running(tmp_path, hotel(tmp_path), "--once", "--target", target) as it:
        assert it.process.wait(120) == 0, it.output
    output = it.output
    for line in (
        "search-to-geo-sidecar runs near_cache",
        "frontend-to-reservation-sidecar runs audit",
        "reservation-sidecar runs blocklist",
        "geo-1-sidecar runs no element",
        "Hotel 34 (h34): 182.00",
        "PERMISSION_DENIED: no reservations for this customer",
        "audit.wanted: 2 records, latest 'mallory h03'",
    ):
        assert line in output, output
    assert gone(tmp_path)


def test_no_call_is_lost_when_elements_change_under_load(tmp_path: Path) -> None:
    config = hotel(tmp_path)
    blocklist = config.with_name("blocklist.appnet")
    with running(tmp_path, config) as it:
        it.wait_for("up: curl")
        (frontend,) = re.findall(r"up: curl 'http://(.*)/hotels", it.output)
        command = [sys.executable, "-m", "appnet.samples.hotel", "load", "--frontend", frontend, "--requests", "1500"]
        load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        blocklist.write_text(blocklist.read_text().replace("'mallory'", "'nobody'"))
        it.wait_for("reservation-sidecar accepted after")
        told, _ = load.communicate(timeout=100)
        assert load.returncode == 0, told
        assert "1500 requests in" in told
        assert "lost" not in told


@pytest.mark.parametrize("target", list(TARGETS))
def test_a_server_that_runs_already(tmp_path: Path, target: str) -> None:
    config = sample(tmp_path)
    config.with_name("local.yaml").unlink()
    message = load_proto(FileSource(ECHO / "echo.proto")).message_class("echo.Msg")
    server = subprocess.Popen(
        [sys.executable, "-m", "appnet.samples.echo", "server", "--proto", str(ECHO / "echo.proto"), "--name", "mine"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = re.findall(r'"address": "(.*)"', server.stdout.readline())[0]
        with running(tmp_path, config, "--upstream", f"server={address}", "--target", target) as it:
            it.wait_for("up: frontend calls server at")
            (entrance,) = re.findall(r"frontend calls server at (\S+)", it.output)
            with grpc.insecure_channel(entrance, options=[("grpc.enable_http_proxy", 0)]) as channel:
                call = channel.unary_unary(
                    "/echo.EchoService/echo",
                    request_serializer=message.SerializeToString,
                    response_deserializer=message.FromString,
                )
                said = {_outcome(call, message(Body="hello")) for _ in range(20)}
                assert said - {"ABORTED fault_injected"} == {"You've hit mine"}
                assert _outcome(call, message(Body="test")) in ("ABORTED firewall", "ABORTED fault_injected")
            assert it.stop() == 0
    finally:
        server.terminate()
        server.wait(10)
    assert gone(tmp_path)


def _outcome(call: grpc.UnaryUnaryMultiCallable, request: object) -> str:
    try:
        return str(call(request, timeout=10).Body)
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"  # type: ignore[attr-defined]


def test_a_port_for_each_edge(tmp_path: Path) -> None:
    """Where no program is started, clients find the entrances at ports that do not change."""
    config = hotel(tmp_path)
    config.with_name("local.yaml").unlink()
    servers = [f"--upstream={it}=127.0.0.1:1" for it in ("search", "geo", "reservation")]
    with running(tmp_path, config, *servers, "--port", "23710") as it:
        it.wait_for("up: ")
        found = dict(re.findall(r"(\S+ calls \S+) at 127\.0\.0\.1:(\d+)", it.output))
        assert found == {
            "frontend calls search": "23710",
            "search calls geo": "23711",
            "frontend calls reservation": "23712",
        }


@pytest.mark.parametrize(
    ("services", "says"),
    [
        (
            "  server: {command: python -c 1, port: PORT}\n",
            "error: server ended with code 0; it wrote nothing",
        ),
        (
            "  server: {command: no-such-server, port: PORT}\n",
            "error: server cannot start: no program `no-such-server` here or on the PATH",
        ),
        (
            "  frontend: {command: python front.py, port: PORT, upstreams: {server: SERVER}}\n",
            "error[C061]: `server` does not run here",
        ),
        (
            "  server: {command: python -c 1, port: PORT}\n  frontend: {command: python front.py, port: PORT}\n",
            "error[C061]: `frontend` does not get the address of `server`",
        ),
        (
            """\
  server: {command: python a.py, port: {printed: 'at (.*)'}, upstreams: {frontend: F}}
  frontend: {command: python b.py, port: {printed: 'at (.*)'}, upstreams: {server: S}}
""",
            "call each other; give",
        ),
    ],
)
def test_programs_that_cannot_run(tmp_path: Path, services: str, says: str) -> None:
    config = sample(tmp_path)
    config.with_name("local.yaml").write_text(f"services:\n{services}")
    with running(tmp_path, config) as it:
        assert it.process.wait(60) in (1, 2), it.output
    assert says in " ".join(it.output.split()), it.output
    assert "Traceback" not in it.output
    assert gone(tmp_path)


CHAIN = """\
apiVersion: api.core.appnet.io/v1
kind: AppNetConfig
metadata: {{name: {client}}}
spec:
  processors: [sidecar]
  appName: chain
  clientService: {client}
  serverService: {server}
  method: '*'
  appManifestFile: chain.yaml
  proto: hotel.proto
  clientChain:
    - {{name: {client}_notes, file: notes.appnet}}
  serverChain:
    - {{name: {server}_guard, file: {server}.appnet}}
"""
MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: grpc, port: 9000}}]
"""
PASSES = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"


def test_a_service_in_the_middle_has_nodes_of_its_own_for_each_edge(tmp_path: Path) -> None:
    """It is a server and a client, each over one edge; and a program that no edge names runs, too."""
    (tmp_path / "chain").mkdir()
    config = tmp_path / "chain" / "chain_of_three.yaml"
    config.write_text("---\n".join(CHAIN.format(client=a, server=b) for a, b in (("a", "b"), ("b", "c"))))
    manifest = "---\n".join(MANIFEST.format(name=it) for it in ("a", "b", "c", "alone"))
    config.with_name("chain.yaml").write_text(manifest)
    for it in ("notes", "b", "c"):
        config.with_name(f"{it}.appnet").write_text(PASSES)
    config.with_name("hotel.proto").write_text((HOTEL / "hotel.proto").read_text())
    listens = "import os, socket; s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\nwhile 1: s.accept()"
    calls = {"a": {"b": "B"}, "b": {"c": "C"}, "c": {}, "alone": {}}
    services = {
        name: {"command": ["python", "-c", listens], "port": "PORT", "upstreams": upstreams}
        for name, upstreams in calls.items()
    }
    config.with_name("local.yaml").write_text(yaml.safe_dump({"services": services}))
    with running(tmp_path, config) as it:
        it.wait_for("up: ")
        for line in (
            "c-sidecar runs c_guard",
            "b-to-c-sidecar runs b_notes",
            "b-from-a-sidecar runs b_guard",
            "a-sidecar runs a_notes",
        ):
            assert line in it.output, it.output
        assert "alone at 127.0.0.1:" in it.output
        assert it.stop() == 0


def test_once_without_calls_has_tried_nothing(tmp_path: Path) -> None:
    config = sample(tmp_path)
    local = config.with_name("local.yaml")
    local.write_text(local.read_text().partition("calls:")[0])
    with running(tmp_path, config, "--once") as it:
        assert it.process.wait(60) == 1
    assert "error: there are no calls to make: list some under `calls` in local.yaml" in " ".join(it.output.split())


def test_upstreams_are_services(tmp_path: Path) -> None:
    with running(tmp_path, sample(tmp_path), "--upstream", "servre=127.0.0.1:1") as it:
        assert it.process.wait(60) == 2
    assert "error[C040]: --upstream: no service `servre`" in it.output
    assert "did you mean `server`?" in it.output


def test_a_name_that_nobody_knows_is_told_before_anything_starts(tmp_path: Path) -> None:
    with running(tmp_path, sample(tmp_path), "--upstream", "server=no.such.host.invalid:1") as it:
        assert it.process.wait(60) == 2
    assert "no.such.host.invalid" in it.output
    assert "compiling" not in it.output


def test_a_descriptor_set_that_is_saved_is_taken_up(tmp_path: Path) -> None:
    config = sample(tmp_path)
    arguments = [f"-I{config.parent}", f"--descriptor_set_out={config.parent / 'echo.binpb'}", "echo.proto"]
    command = [sys.executable, "-m", "grpc_tools.protoc", "--include_imports", *arguments]
    subprocess.run(command, check=True, cwd=config.parent)
    config.write_text(config.read_text().replace("proto: echo.proto", "proto: echo.binpb"))
    with running(tmp_path, config) as it:
        it.wait_for("up: curl")
        config.with_name("echo.binpb").write_bytes(b"no set")
        it.wait_for("error[C050]: echo.binpb is not a descriptor set")
        assert it.stop() == 0
