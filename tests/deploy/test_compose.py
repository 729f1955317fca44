"""Compose files: names lead where they are meant to, and the processors judge calls without any controller."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from compose_spec import PyCompose
from typer.testing import CliRunner

from appnet.application.proto import load_proto
from appnet.cli.main import app
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.native.loader import MODULES
from appnet.processors.envoy.proxy.admin import Admin
from appnet.processors.envoy.proxy.binary import envoy_binary
from appnet.system import lifetime
from appnet.system.address import Address
from tests.quickstart.test_store_in_trouble import COUNT
from tests.support.certificates import Authority
from tests.support.serving import serve

SAMPLES = Path(__file__).parents[2] / "config" / "samples"
ECHO = SAMPLES / "echo" / "sample_echo_sidecar.yaml"
HOTEL = SAMPLES / "hotel" / "sample_hotel_sidecar.yaml"
START_SECONDS = 20.0


def composed(folder: Path, *arguments: str | Path, status: int = 0) -> tuple[dict[str, Any], str]:
    """The Compose file that is written for an application, and what is told on standard error."""
    command = ["compile", "--to", "compose", "-w", str(folder), *map(str, arguments)]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == status, answer.output
    text = (folder / "compose.yaml").read_text() if status == 0 else "{}"
    return yaml.safe_load(text), answer.stderr


def resolved(compose: dict[str, Any], who: str, name: str) -> set[str]:
    """The containers that a container finds by a name: on each of its networks, all that are called so there."""
    found = set()
    for network in compose["services"][who]["networks"]:
        for service, it in compose["services"].items():
            if network in it["networks"]:
                called = {service, *it["networks"][network].get("aliases", ())}
                found |= {service} if name in called and service != who else set()
    return found


def environment(folder: Path, container: str) -> dict[str, str]:
    """The variables of a container, with the modules where they are on this machine."""
    service = yaml.safe_load((folder / "compose.yaml").read_text())["services"][container]
    return {**service.get("environment", {}), MODULES: str(folder / "processors" / "modules")}


def bootstrap(folder: Path, container: str) -> dict[str, Any]:
    return json.loads((folder / "processors" / f"{container}.json").read_text())


def upstreams(folder: Path, container: str) -> list[dict[str, Any]]:
    """The addresses that a processor sends calls to."""
    cluster = bootstrap(folder, container)["static_resources"]["clusters"][-1]
    hosts = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    return [it["endpoint"]["address"]["socket_address"] for it in hosts]


def port_of(folder: Path, container: str) -> int:
    return bootstrap(folder, container)["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echo")
    composed(folder, ECHO)
    return folder


@pytest.fixture(scope="module")
def hotel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hotel")
    composed(folder, HOTEL)
    return folder


def read(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "compose.yaml").read_text())


@pytest.mark.parametrize("name", ["echo", "hotel"])
def test_it_is_a_compose_file(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    text = (folder / "compose.yaml").read_text()
    PyCompose.from_yaml(text).validate()
    with pytest.raises(ValueError, match="mage"):
        PyCompose.from_yaml(text.replace("image:", "mage:", 1))
    for service in read(folder)["services"].values():
        for mount in service.get("volumes", ()):
            assert (folder / mount.split(":")[0]).is_file()


def _docker_composes() -> bool:
    docker = shutil.which("docker")
    return (
        docker is not None
        and subprocess.run([docker, "compose", "version"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not _docker_composes(), reason="this machine has no `docker compose`")
@pytest.mark.parametrize("name", ["echo", "hotel"])
def test_docker_takes_it(name: str, request: pytest.FixtureRequest) -> None:
    subprocess.run(["docker", "compose", "config", "-q"], cwd=request.getfixturevalue(name), check=True)


def followed(folder: Path, client: str, server: str, port: int) -> set[str]:
    """The containers of the server that a call reaches, past the processors at both ends of the edge."""
    compose, found = read(folder), set()
    (egress,) = resolved(compose, client, server)
    assert port_of(folder, egress) == port, "where programs call the service"
    for it in upstreams(folder, egress):
        (ingress,) = resolved(compose, egress, it["address"])
        assert port_of(folder, ingress) == it["port_value"]
        (there,) = upstreams(folder, ingress)
        found |= resolved(compose, ingress, there["address"])
    return found


def test_calls_pass_both_ends_of_their_edge(echo: Path, hotel: Path) -> None:
    assert followed(echo, "frontend", "server", 9000) == {"server-0"}
    assert followed(hotel, "frontend", "search", 9000) == {"search-0"}
    assert followed(hotel, "frontend", "reservation", 9000) == {"reservation-0"}
    assert followed(hotel, "search-0", "geo", 9000) == {"geo-0", "geo-1"}


def test_a_service_without_elements_is_found_by_its_name(hotel: Path) -> None:
    compose = read(hotel)
    assert resolved(compose, "frontend", "profile") == {"profile"}
    assert resolved(compose, "search-0", "rate") == {"rate"}


def test_nothing_leads_past_the_elements(hotel: Path) -> None:
    """A program finds no server of an edge by the name that it knows, unless it calls over that edge."""
    compose = read(hotel)
    for server in ("search", "geo", "reservation"):
        programs = (it for it in compose["services"] if "sidecar" not in it)
        found = {who for who in programs if resolved(compose, who, server)}
        assert found == {"search-0" if server == "geo" else "frontend"}


def test_only_what_nobody_calls_is_published(echo: Path, hotel: Path) -> None:
    for folder in (echo, hotel):
        published = {name: it["ports"] for name, it in read(folder)["services"].items() if "ports" in it}
        assert published == {"frontend": ["127.0.0.1:8080:8080"]}


def test_replicas_have_processors_of_their_own(tmp_path: Path) -> None:
    compose, _ = composed(tmp_path, ECHO, "--replica", "2")
    assert {name for name in compose["services"] if "sidecar" not in name} == {
        *("frontend-0", "frontend-1", "server-0", "server-1")
    }
    for client in ("frontend-0", "frontend-1"):
        assert followed(tmp_path, client, "server", 9000) == {"server-0", "server-1"}
    ports = [compose["services"][it]["ports"] for it in ("frontend-0", "frontend-1")]
    assert ports == [["127.0.0.1:8080:8080"], ["127.0.0.1::8080"]]


def test_a_collector_gets_the_records(tmp_path: Path) -> None:
    composed(tmp_path, HOTEL, "--collector", "otel:4318")
    clusters = bootstrap(tmp_path, "frontend-to-search-sidecar")["static_resources"]["clusters"]
    telemetry = next(it for it in clusters if it["name"] == "appnet-telemetry")
    assert (telemetry["type"], "otel" in json.dumps(telemetry)) == ("STRICT_DNS", True)


@pytest.mark.parametrize("target", ["native", "wasm"])
def test_envoy_takes_every_bootstrap(target: str, tmp_path: Path) -> None:
    compose, _ = composed(tmp_path, HOTEL, "--target", target)
    checked = 0
    for name, service in compose["services"].items():
        if "envoyproxy/envoy" not in service["image"]:
            continue
        assert ("environment" in service) == ("dynamic_modules" in json.dumps(bootstrap(tmp_path, name)))
        command = [envoy_binary(), "--mode", "validate", "-c", tmp_path / "processors" / f"{name}.json"]
        run = subprocess.run(
            command,
            check=False,
            env=environment(tmp_path, name),
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        checked += 1
    assert checked == 7


def test_envoy_takes_its_way_to_a_store(tmp_path: Path) -> None:
    """By TLS, and in a cluster whose nodes have names."""
    shutil.copytree(ECHO.parent, tmp_path / "echo")
    config = tmp_path / "echo" / ECHO.name
    config.with_name("fault.appnet").write_text(COUNT)
    written, ca = config.read_text(), Authority(tmp_path).certificate
    for number, address in enumerate(("rediss://state.example", "rediss+cluster://app:secret@one,two")):
        config.write_text(written.replace("spec:\n", f"spec:\n  state: {{store: '{address}?cacert={ca}'}}\n", 1))
        folder = tmp_path / f"composed{number}"
        composed(folder, config, "--target", "native")
        (name,) = {it.stem for it in (folder / "processors").glob("*.json") if "@appnet-store-" in it.read_text()}
        command = [envoy_binary(), "--mode", "validate", "-c", folder / "processors" / f"{name}.json"]
        run = subprocess.run(command, check=False, env=environment(folder, name), capture_output=True, text=True)
        assert run.returncode == 0, run.stderr


@contextlib.asynccontextmanager
async def started(folder: Path, name: str, hosts: dict[str, int], scratch: Path) -> AsyncIterator[int]:
    """The processor as its container would start it, but for addresses: all are on this machine. Gives its port."""
    found = bootstrap(folder, name)
    found["admin"]["address"]["socket_address"]["port_value"] = 0
    listener = found["static_resources"]["listeners"][0]
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": 0}
    for host in found["static_resources"]["clusters"][-1]["load_assignment"]["endpoints"][0]["lb_endpoints"]:
        place = host["endpoint"]["address"]["socket_address"]
        host["endpoint"]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": hosts[place["address"]]}
    file, admin_file = scratch / f"{name}.json", scratch / f"{name}.admin"
    file.write_text(json.dumps(found))
    command = [envoy_binary(), "-c", file, "--disable-hot-restart", "--admin-address-path", admin_file]
    process = await lifetime.start_bound(
        [*command, "--concurrency", "1", "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        environment=environment(folder, name),
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not (admin_file.exists() and admin_file.read_text()):
                await asyncio.sleep(0.02)
            admin = Admin(Address.parse(admin_file.read_text()))
            while not await admin.is_live():
                await asyncio.sleep(0.02)
            yield (await admin.listeners())[listener["name"]].port
    finally:
        await lifetime.stop(process, 5.0)


@pytest.mark.parametrize("target", ["native", "wasm"])
def test_calls_are_judged_without_a_controller(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    composed(folder, ECHO, "--target", target)
    message = load_proto(FileSource(ECHO.parent / "echo.proto")).message_class("echo.Msg")
    echoes = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server, port = serve("echo.EchoService", {"echo": echoes})

    async def calls() -> list[str]:
        async with (
            started(folder, "server-0-sidecar", {"server-0": port}, tmp_path) as ingress,
            started(folder, "frontend-sidecar", {"server-0-sidecar": ingress}, tmp_path) as egress,
            grpc.aio.insecure_channel(f"127.0.0.1:{egress}") as channel,
        ):
            call = channel.unary_unary("/echo.EchoService/echo")
            found = []
            for body in ("hello", "test"):
                try:
                    answer = await call(message(Body=body).SerializeToString(), wait_for_ready=True, timeout=10)
                    found.append(message.FromString(answer).Body)
                except grpc.aio.AioRpcError as error:
                    found.append(error.details())
            return found

    try:
        hello, test = asyncio.run(calls())
    finally:
        server.stop(None)
    assert hello in {"hello", "fault_injected"}, "the sample refuses one call in a hundred by chance"
    assert test in {"firewall", "fault_injected"}


MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: frontend}
spec: {selector: {app: frontend}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{name: metrics, port: 9100}, {name: grpc, port: 9000, targetPort: 50051}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: frontend}
spec:
  selector: {matchLabels: {app: frontend}}
  template:
    metadata: {labels: {app: frontend}}
    spec:
      volumes: [{name: data, emptyDir: {}}]
      containers:
        - name: helper
          image: helper:1
        - name: frontend
          image: frontend:1
          command: [/frontend]
          args: [--greet, $HOME]
          workingDir: /srv
          ports: [{name: http, containerPort: 8080}]
          env:
            - {name: SERVER, value: "server:9000"}
            - {name: SECRET, valueFrom: {secretKeyRef: {name: it, key: it}}}
          livenessProbe: {tcpSocket: {port: 8080}}
"""
SERVER = """
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: server}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec: {containers: [{name: server, image: "server:1"}]}
"""


def application(folder: Path, manifest: str) -> Path:
    for it in ECHO.parent.iterdir():
        if it.suffix in {".appnet", ".proto"} or it == ECHO:
            shutil.copy(it, folder)
    (folder / "echo.yaml").write_text(manifest)
    return folder / ECHO.name


def test_what_the_manifest_says_of_containers(tmp_path: Path) -> None:
    compose, told = composed(tmp_path / "out", application(tmp_path, MANIFEST + SERVER))
    frontend = compose["services"]["frontend"]
    assert frontend["image"] == "frontend:1"
    assert frontend["entrypoint"] == ["/frontend"]
    assert frontend["command"] == ["--greet", "$$HOME"]
    assert frontend["environment"] == {"SERVER": "server:9000"}
    assert frontend["working_dir"] == "/srv"
    assert frontend["ports"] == ["127.0.0.1:8080:8080"]
    assert followed(tmp_path / "out", "frontend", "server", 9000) == {"server-0"}
    assert [it["port_value"] for it in upstreams(tmp_path / "out", "server-0-sidecar")] == [50051]
    assert told.count("note[N007]") == 4
    for it in ("the container `helper`", "`volumes`", "`livenessProbe`", "`SECRET`"):
        assert it in told


def test_a_server_without_a_container_is_refused(tmp_path: Path) -> None:
    _, told = composed(tmp_path / "out", application(tmp_path, MANIFEST), status=2)
    assert "error[C089]: the manifest does not say which container `server` runs in" in told
    (tmp_path / "echo.yaml").write_text((MANIFEST + SERVER).replace(", ports: [{name: metrics", ", prots: [{name: m"))
    _, told = composed(tmp_path / "out", tmp_path / ECHO.name, status=2)
    assert "error[C089]: the manifest does not say which port `server` listens on" in told
    assert not (tmp_path / "out").exists()


def test_what_an_earlier_compilation_wrote_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    composed(tmp_path, ECHO)
    composed(tmp_path, HOTEL)
    assert not (tmp_path / "processors" / "frontend-sidecar.json").exists()
    (tmp_path / "mine.txt").write_text("")
    _, told = composed(tmp_path, ECHO, status=2)
    assert "C066" in told
