"""A journey of calls through every kind of processor: two sidecars, a waypoint and a process with gRPC-Go.

All of them are started as somebody would who has `appnetctl serve`, which runs in this process. At each stop is an
element of its name, which refuses one message, answers another, and lets the rest pass. All messages have one length.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from appnet.compile.fit import Where
from appnet.deploy.local.machine import LocalMachine, RunSettings, Served
from appnet.diagnostics.source import FileSource
from appnet.measure.load import Request
from appnet.optimize import OptLevel, Settings
from appnet.processors import registry
from appnet.processors.envoy.native.loader import loader_environment
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.processor import Contact
from appnet.processors.signing import user_key
from appnet.system import lifetime
from appnet.system.address import Address
from benchmarks.cases import SAMPLE
from benchmarks.dataplane import message
from tests.quickstart.serving import ports
from tests.support.go import find_go, run_go

PASSES = "passes them all"
KEPT = 4
"""So many messages each element has in its state; older ones are evicted."""
WORKERS = {NATIVE: 2}
"""Of an Envoy. On wasm, these elements need one state for all, so one worker."""

_ELEMENT = """\
state:
    @capacity({kept})
    last: Vec<string>

init():
    pass

req(rpc):
    set(last, size(last), get(rpc, 'Body'))
    match get(rpc, 'Body'):
        'refused at {name}' =>
            send(err('{name}', PERMISSION_DENIED), Up)
        'replied by {name}' =>
            r = reply()
            set(r, 'Body', '{name}')
            set_metadata(rpc, 'x-last', get(last, 0, ''))
            send(r, Up)
        'version {version}' =>
            send(err('nobody asks for this'), Up)
        _ =>
            send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
ROWS = {"refuse": "1a", "reply": "1b", "pass": "1d"}


@dataclass(frozen=True)
class Stop:
    """``name``: of the element; ``client`` and ``server``: of the edge; ``node``: of the processor."""

    name: str
    title: str
    client: str
    server: str
    processor: str
    at_client: bool = False

    @property
    def service(self) -> str:
        """The service that it is beside."""
        return self.client if self.at_client else self.server

    @property
    def node(self) -> str:
        """The processor's name."""
        return f"{self.service}-{self.processor}"

    @property
    def is_proxy(self) -> bool:
        """Whether it is an Envoy."""
        return self.processor != "grpc"

    @property
    def refused(self) -> str:
        """The message that it refuses."""
        return f"refused at {self.name}"

    @property
    def answered(self) -> str:
        """The message that it answers."""
        return f"replied by {self.name}"


STOPS = (
    Stop("gate", "client's sidecar", "frontend", "cart", "sidecar", at_client=True),
    Stop("wall", "server's sidecar", "frontend", "cart", "sidecar"),
    Stop("ward", "waypoint", "buyer", "price", "ambient"),
    Stop("desk", "gRPC-Go process", "teller", "server", "grpc"),
)
"""In the order in which a call reaches them."""
_EDGES = (STOPS[2:3], STOPS[:2], STOPS[3:])
"""The waypoint's first: the sidecar before it is told its port, and the first node has the first one."""


def requests() -> list[Request]:
    """One of each kind of call for each ten that pass all."""
    kinds = [text for stop in STOPS for text in (stop.refused, stop.answered)]
    return [Request(message(PASSES), weight=10), *(Request(message(it)) for it in kinds)]


class Journey:
    """The running control plane, and what has been started of the processors."""

    def __init__(self, folder: Path, machine: LocalMachine, served: Served, program: Path, server: Address) -> None:
        self._folder, self.machine, self._served = folder, machine, served
        self._program, self._server = program, server
        self._version = 0
        self._envoys: dict[Stop, EnvoyProcess] = {}
        self._go: asyncio.subprocess.Process | None = None

    @property
    def port(self) -> int:
        """Where calls begin."""
        return self.machine.nodes[STOPS[0].node].address.port

    async def start(self, stop: Stop) -> None:
        """Starts its processor, for the first time or again, and waits until it takes calls."""
        if stop.is_proxy:
            await self._start_envoy(stop)
        else:
            await self._start_go(stop)

    async def kill(self, stop: Stop) -> None:
        """As kill -9."""
        if stop.is_proxy:
            os.kill(self._envoys[stop].pid, signal.SIGKILL)
            await self._envoys[stop].stop()
        elif self._go is not None:
            self._go.kill()
            await self._go.wait()

    async def upgrade(self) -> None:
        """Saves another version of every element, and waits until all processors have accepted it."""
        self._version += 1
        write_elements(self._folder, self._version)
        assert await self.machine.controller.upgrade() is not None

    async def entered(self) -> int:
        """How many calls the first proxy has begun since it was started, as Envoy itself counts."""
        (count,) = (await self._envoys[STOPS[0]].admin.stats(r"^http\.egress\.downstream_rq_total$")).values()
        return count

    async def stop(self) -> None:
        """Ends all that was started."""
        await asyncio.gather(*(it.stop() for it in self._envoys.values()))
        if self._go is not None:
            await lifetime.stop(self._go, grace_seconds=10.0)

    async def _start_envoy(self, stop: Stop) -> None:
        settings = EnvoySettings(
            Identity(stop.node, stop.service),
            self._folder / stop.node,
            self._served.control,
            self._served.records,
            self.machine.settings.where.workers,
            loader_environment(user_key().public_text),
        )
        self._envoys[stop] = envoy = EnvoyProcess(settings)
        await envoy.start()
        await envoy.ready()

    async def _start_go(self, stop: Stop) -> None:
        at = self._served.programs
        told = registry.processor(stop.processor).bootstrap(
            stop.node, stop.service, Contact(at), self._served.records, at
        )
        command: list[str | Path] = [self._program, "server", "--name", stop.service, "--port", str(self._server.port)]
        with (self._folder / "go.log").open("ab") as log:
            self._go = await lifetime.start_bound(
                command, stdout=subprocess.DEVNULL, stderr=log, environment=told.environment
            )
        while not self.machine.nodes[stop.node].running:
            assert self._go.returncode is None, (self._folder / "go.log").read_text()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def journey(folder: Path, target: str) -> AsyncIterator[Journey]:
    """All processors up, with Envoys that run ``target``, until the end of the context. Builds the Go program, and
    raises `NoToolsError` where Go is missing."""
    program = folder / "server"
    await asyncio.to_thread(run_go, [find_go(), "build", "-o", str(program), "."], SAMPLE.parent.with_name("echo-go"))
    control, records, programs, server, first, *_ = (Address("127.0.0.1", it) for it in ports(4 + 2 * len(_EDGES)))
    served = Served(control, records, programs, first_port=first.port)
    settings = RunSettings(
        (FileSource(_write_application(folder)),),
        folder / "run",
        Settings(OptLevel.NO),  # elements stay where they are
        Where(target, WORKERS.get(target, 1)),
        upstreams={"cart": (first,), "price": (server,), "server": (server,)},
        served=served,
    )
    async with AsyncExitStack() as stack:
        machine = await stack.enter_async_context(LocalMachine(settings))
        assert machine.nodes[STOPS[2].node].address == first
        found = Journey(folder, machine, served, program, server)
        stack.push_async_callback(found.stop)
        for stop in reversed(STOPS):
            await found.start(stop)
        yield found


def write_elements(folder: Path, version: int) -> None:
    """All elements as another version: a literal of them differs that no message is."""
    for stop in STOPS:
        text = _ELEMENT.format(kept=KEPT, name=stop.name, version=version)
        (folder / f"{stop.name}.appnet").write_text(text)


def _write_application(folder: Path) -> Path:
    write_elements(folder, 0)
    services = [name for stops in _EDGES for name in (stops[0].client, stops[0].server)]
    manifest = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": it}} for it in services]
    (folder / "services.yaml").write_text(yaml.safe_dump_all(manifest))
    config = folder / "counts.yaml"
    config.write_text(yaml.safe_dump_all([_config(it) for it in _EDGES]))
    return config


def _config(stops: Sequence[Stop]) -> dict[str, object]:
    first = stops[0]
    chains = {"clientChain" if it.at_client else "serverChain": [_element(it)] for it in stops}
    spec = {
        "processors": [first.processor], "appName": "counts", "clientService": first.client,
        "serverService": first.server, "method": "echo", "appManifestFile": "services.yaml",
        "proto": str(SAMPLE.with_name("echo.proto")), **chains,
    }  # fmt: skip
    return {
        "apiVersion": "api.core.appnet.io/v1",
        "kind": "AppNetConfig",
        "metadata": {"name": f"counts-{first.server}"},
        "spec": spec,
    }


def _element(stop: Stop) -> dict[str, str]:
    return {"name": stop.name, "file": f"{stop.name}.appnet"}
