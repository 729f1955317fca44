"""One cluster for all tests; each has the echo application in it to itself."""

from __future__ import annotations

import base64
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import yaml

from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.pods import (
    CLIENT_POD,
    HOST,
    MESH,
    PORT,
    SERVER_POD,
    SERVER_PROGRAM,
    Pod,
    filters,
    start_sidecar,
    stop_sidecar,
)
from tests.kubernetes.programs import programs
from tests.support.go import NoToolsError
from tests.support.raw_grpc import string_field

_SAMPLE = Path("config/samples/echo")
_CONFIGURATION = "sample_echo_sidecar.yaml"


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


@dataclass
class EchoServer:
    """The application's own server; ``seen`` are the paths of calls that came to it."""

    seen: list[str] = field(default_factory=list)

    def start(self) -> grpc.Server:
        """On the port that the server's sidecar knows."""
        server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
        server.add_generic_rpc_handlers((_Handler(self.seen),))
        assert server.add_insecure_port(f"127.0.0.1:{SERVER_PROGRAM}") == SERVER_PROGRAM
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
    channel: grpc.Channel | None = None
    applied: bool = False

    @property
    def output(self) -> Path:
        """Where it is compiled to."""
        return self.folder / "generated"

    def edit(self, file: str, old: str, new: str) -> None:
        """Changes one of its sources."""
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def compile(self) -> str:
        """`appnetctl compile`, and what it warns of."""
        command = ["appnetctl", "compile", _CONFIGURATION, "--target", self.target, "--write", str(self.output)]
        return self._run(command, self.folder)

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
        """The sidecars, as the application's Deployments ask for them."""
        for it in (SERVER_POD, CLIENT_POD):
            start_sidecar(self.cluster, it, self._proxy_metadata(it))

    def call(self, body: str, method: str = "echo", timeout: float = 10.0) -> str:
        """The code that a call of the client's ends with."""
        call = self._connected().unary_unary(f"/echo.EchoService/{method}")
        try:
            call(string_field(1, body.encode()), timeout=timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def talk(self, *bodies: str) -> list[bytes]:
        """What the server sends back of a stream of messages."""
        call = self._connected().stream_stream("/echo.EchoService/echo")
        messages = [string_field(1, it.encode()) for it in bodies]
        return list(call(iter(messages), timeout=20, wait_for_ready=True))

    def _connected(self) -> grpc.Channel:
        if self.channel is None:
            self.channel = grpc.insecure_channel(f"127.0.0.1:{PORT}", (("grpc.default_authority", HOST),))
        return self.channel

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

    def _proxy_metadata(self, pod: Pod) -> dict[str, str]:
        """What the annotation of the pod's template gives its sidecar, ConfigMaps as folders of the test."""
        template = ("get", "deployment", pod.app, "-o", "yaml")
        annotations = yaml.safe_load(self.cluster.kubectl(*template))["spec"]["template"]["metadata"].get("annotations")
        metadata = yaml.safe_load((annotations or {}).get("proxy.istio.io/config", "{}")).get("proxyMetadata", {})
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


@pytest.fixture(params=["native", "wasm"])
def target(request: pytest.FixtureRequest) -> str:
    """What elements are compiled to."""
    return str(request.param)


@pytest.fixture
def echo(cluster: Cluster, tmp_path: Path, target: str) -> Iterator[Application]:
    """The application, which no pod runs yet."""
    folder = tmp_path / "echo"
    shutil.copytree(_SAMPLE, folder)
    fault = folder / "fault.appnet"
    fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 2.0"))  # chance is not what is tried here
    server = EchoServer()
    running = server.start()
    cluster.kubectl("apply", "-f", "-", given=MESH)
    application = Application(cluster, folder, target, server)
    try:
        yield application
    finally:
        if application.channel is not None:
            application.channel.close()
        for it in (CLIENT_POD, SERVER_POD):
            if it.name in cluster.processes:
                stop_sidecar(cluster, it)
        running.stop(None).wait()
        if application.applied:
            application.remove()


def await_filters(pod: Pod, names: set[str]) -> None:
    """Waits until the sidecar's listeners have these of AppNet's filters."""
    await_(f"{pod.name} has {names or 'no filter'}", lambda: filters(pod) == names, 20)
