"""Envoys for measurements: one for each case, all alive at once, each on the processor core set aside for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from google.protobuf.message import Message

from appnet.measure.cores import Cores, running_on
from appnet.processors.envoy.listeners import (
    Sidecar,
    chain_listener,
    chain_routes,
    upstream_cluster,
    upstream_endpoints,
)
from appnet.processors.envoy.native.loader import loader_environment
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.system.address import Address
from benchmarks.cases import Case
from benchmarks.signing import RUN_KEY


class Proxy:
    """A running Envoy with one case's filters; ``port`` is where its listener is."""

    def __init__(self, case: Case, process: EnvoyProcess, port: int) -> None:
        self.case = case
        self.process = process
        self.port = port


@dataclass(frozen=True)
class Rig:
    """What all proxies of a run share. ``folder`` takes their files."""

    folder: Path
    xds: XdsServer
    telemetry: Address
    upstream: Address
    cores: Cores

    async def start_proxy(self, case: Case) -> Proxy:
        """Starts an Envoy on the proxies' core and waits until it serves; raises ``EnvoyError``."""
        names = [config.name for config in case.discovered]
        sidecar = Sidecar(case.name, names, [self.upstream], chooses_host=case.chooses_host)
        upstream = (upstream_cluster(sidecar), upstream_endpoints(sidecar))
        resources = (
            *upstream,
            _listener(sidecar, case.inline),
            chain_routes(sidecar),
            *case.discovered,
            *case.resources,
        )
        self.xds.set_snapshot(case.name, Snapshot("benchmark", resources))
        identity = Identity(case.name, "benchmark")
        folder = self.folder / case.name
        environment = loader_environment(RUN_KEY.public_text)
        process = EnvoyProcess(
            EnvoySettings(identity, folder, self.xds.address, self.telemetry, environment=environment)
        )
        with running_on(self.cores.proxy):
            await process.start()
        await process.ready()
        return Proxy(case, process, (await process.listener_address(case.name)).port)


def _listener(sidecar: Sidecar, inline: Sequence[Message]) -> Listener:
    """The listener that AppNet's users get, with the ``inline`` filters before the router."""
    listener = chain_listener(sidecar)
    packed = listener.filter_chains[0].filters[0].typed_config
    manager = HttpConnectionManager()
    packed.Unpack(manager)
    router = manager.http_filters.pop()
    for number, message in enumerate(inline):
        filter_ = HttpFilter(name=f"inline-{number}")
        filter_.typed_config.Pack(message)
        manager.http_filters.append(filter_)
    manager.http_filters.append(router)
    packed.Pack(manager)
    return listener
