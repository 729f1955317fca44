"""One cluster for all tests; each has the echo application in it to itself."""

from __future__ import annotations

import base64
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import yaml

from appnet.processors.processor import Object
from appnet.system.address import Address
from tests.kubernetes.asking import Asked
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.meshes import SIDECARS, Mesh
from tests.kubernetes.pods import HOST, Pod, filters
from tests.kubernetes.programs import programs
from tests.kubernetes.stores import Store
from tests.support.go import NoToolsError
from tests.support.raw_grpc import string_field

_SAMPLE = Path("config/samples/echo")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        found = Cluster(programs(), tmp_path_factory.mktemp("cluster") / "run")
    except NoToolsError as error:
        pytest.exit(str(error), returncode=1)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "store")
    found.start()
    yield found
    found.stop()


@dataclass
class EchoServer:
    """The application's own server; ``seen`` are the paths of calls that came to it."""

    seen: list[str] = field(default_factory=list)

    def start(self, address: Address = SIDECARS.program) -> grpc.Server:
        """Where the server's sidecar, or waypoint, looks for it."""
        server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
        server.add_generic_rpc_handlers((_Handler(self.seen),))
        assert server.add_insecure_port(str(address)) == address.port
        server.start()
        return server


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path = details.method

        def answer(requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
            self._seen.append(path)
            yield from requests

        return grpc.stream_stream_rpc_method_handler(answer)


@dataclass
class Application:
    """The echo application as a user has it: sources in ``folder``, and what `appnetctl compile` made of them."""

    cluster: Cluster
    folder: Path
    target: str
    server: EchoServer
    channels: dict[str, grpc.Channel] = field(default_factory=dict)
    applied: bool = False
    mesh: Mesh = SIDECARS

    @property
    def output(self) -> Path:
        """Where it is compiled to."""
        return self.folder / "generated"

    def edit(self, file: str, old: str, new: str) -> None:
        """Changes one of its sources."""
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def compile(self, *options: str) -> str:
        """`appnetctl compile`, and what it warns of."""
        command = ["appnetctl", "compile", self.mesh.configuration, "--target", self.target]
        return self._run([*command, "--write", str(self.output), *options], self.folder)

    def apply(self) -> None:
        """What the compiled README says, word for word."""
        self.applied = True
        for it in self._commands("Apply, from this folder"):
            self._run(it, self.output)

    def remove(self) -> None:
        """What the compiled README says, word for word."""
        for it in self._commands("Delete everything"):
            self._run(it, self.output)
        self.applied = False

    def start_pods(self) -> None:
        """The proxies, as the application's Deployments, or the waypoint's, ask for them."""
        self.mesh.start(self.cluster, lambda it: self.metadata(it, self.template(it.app)))

    def call(
        self,
        body: str,
        method: str = "echo",
        timeout: float = 10.0,
        host: str = HOST,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> str:
        """The code that a call of the client's ends with."""
        call = self._connected(host).unary_unary(f"/echo.EchoService/{method}")
        try:
            call(string_field(1, body.encode()), timeout=timeout, wait_for_ready=True, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def talk(self, *bodies: str) -> list[bytes]:
        """What the server sends back of a stream of messages."""
        call = self._connected(HOST).stream_stream("/echo.EchoService/echo")
        messages = [string_field(1, it.encode()) for it in bodies]
        return list(call(iter(messages), timeout=20, wait_for_ready=True))

    def close(self) -> None:
        """Ends its connections."""
        for it in self.channels.values():
            it.close()
        self.channels.clear()

    def _connected(self, host: str) -> grpc.Channel:
        if host not in self.channels:
            self.channels[host] = grpc.insecure_channel(str(self.mesh.entrance), (("grpc.default_authority", host),))
        return self.channels[host]

    def _run(self, command: list[str], where: Path) -> str:
        """What it said on standard error; where it fails, so does the test."""
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, check=False, env=self.cluster.environment
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def _commands(self, section: str) -> list[list[str]]:
        text = (self.output / "README.md").read_text()
        after = text[text.index(section) :]
        block = re.search(r"(?:^    .*\n)+", after, re.MULTILINE)
        assert block is not None
        return [shlex.split(it) for it in block.group().splitlines()]

    def metadata(self, pod: Pod, template: Object) -> dict[str, str]:
        """What the pod's template gives its proxy, ConfigMaps as folders of the test."""
        metadata = self._of_waypoint() if pod.role == "waypoint" else _of_annotation(template)
        path = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH"
        if path in metadata:
            loader = yaml.safe_load(self.cluster.kubectl("get", "configmap", "appnet-loader", "-o", "yaml"))
            mounted = (
                self.folder / pod.name
            )  # a pod's own: to write a file anew would take it from under another's Envoy
            mounted.mkdir()
            for name, content in loader["binaryData"].items():
                (mounted / name).write_bytes(base64.b64decode(content))
            metadata[path] = str(mounted)
        return dict(metadata)

    def template(self, deployment: str) -> Object:
        """The pods that a Deployment asks for; an empty one where there is none."""
        listed = yaml.safe_load(self.cluster.kubectl("get", "deployment", "-o", "yaml"))["items"]
        return next((it["spec"]["template"] for it in listed if it["metadata"]["name"] == deployment), {})

    def _of_waypoint(self) -> dict[str, str]:
        """As Istio merges it into the Deployment of a Gateway that names the ConfigMap."""
        listed = yaml.safe_load(self.cluster.kubectl("get", "configmap", "-o", "yaml"))["items"]
        data = next((it["data"] for it in listed if it["metadata"]["name"] == "appnet-waypoint"), {})
        template = yaml.safe_load(data.get("deployment", "{}")).get("spec", {}).get("template", {})
        (proxy,) = template.get("spec", {}).get("containers", [{}])
        return {it["name"]: it["value"] for it in proxy.get("env", ())}


def _of_annotation(template: Object) -> dict[str, str]:
    annotations = template.get("metadata", {}).get("annotations") or {}
    return dict(yaml.safe_load(annotations.get("proxy.istio.io/config", "{}")).get("proxyMetadata", {}))


@pytest.fixture(params=["native", "wasm"])
def target(request: pytest.FixtureRequest) -> str:
    """What elements are compiled to."""
    return str(request.param)


@pytest.fixture
def mesh(request: pytest.FixtureRequest) -> Mesh:
    """How calls travel; a test may ask for another way."""
    return getattr(request, "param", SIDECARS)


@pytest.fixture
def echo(cluster: Cluster, tmp_path: Path, target: str, mesh: Mesh) -> Iterator[Application]:
    """The application, which no pod runs yet."""
    folder = tmp_path / "echo"
    shutil.copytree(_SAMPLE, folder)
    fault = folder / "fault.appnet"
    fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 2.0"))  # chance is not what is tried here
    server = EchoServer()
    running = server.start(mesh.program)
    cluster.kubectl("apply", "-f", "-", given=mesh.objects)
    application = Application(cluster, folder, target, server, mesh=mesh)
    try:
        yield application
    finally:
        application.close()
        mesh.stop(cluster)
        running.stop(None).wait()
        if application.applied:
            application.remove()
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", given=mesh.objects)


@pytest.fixture
def asked(echo: Application, cluster: Cluster) -> Iterator[Asked]:
    """The control plane, which is not there yet; the application is."""
    found = Asked(echo)
    cluster.kubectl("apply", "-f", str(echo.folder / "echo.yaml"))
    try:
        yield found
    finally:
        found.stop()
        found.remove()
        cluster.kubectl("delete", "-f", str(echo.folder / "echo.yaml"))


def await_filters(pod: Pod, names: set[str]) -> None:
    """Waits until the sidecar's listeners have these of AppNet's filters."""
    await_(f"{pod.name} has {names or 'no filter'}", lambda: filters(pod) == names, 20)
