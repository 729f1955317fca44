"""What stands around Envoys that are measured: one upstream, one sink for telemetry, one xDS server, and cores."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from appnet.measure.cores import Cores, running_on
from appnet.measure.load import Upstream
from appnet.measure.sink import Sink
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.native.loader import loader_environment
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.signing import SigningKey
from appnet.system.address import Address


@dataclass(frozen=True)
class MeasuredChain:
    """A listener's filters in request order, and where its calls leave to. Names of filters are unique in a proxy.

    ``chooses_host``: calls go to the host that the filters name.
    """

    filters: Sequence[TypedExtensionConfig]
    upstream: Address
    chooses_host: bool = False


@dataclass(frozen=True)
class MeasuredProxy:
    """A running Envoy; ``listeners`` are where its chains are, by name."""

    process: EnvoyProcess
    listeners: Mapping[str, Address]


@dataclass(frozen=True)
class Rig:
    """``upstream`` answers each call with its request. This process runs on the cores of the load."""

    upstream: Upstream
    _key: SigningKey
    _stack: AsyncExitStack
    _folder: Path
    _xds: XdsServer
    _sink: Sink
    _cores: Cores

    @property
    def sink(self) -> Address:
        """Where records go."""
        return self._sink.address

    @property
    def server(self) -> Address:
        """Where the upstream is."""
        return Address("127.0.0.1", self.upstream.port)

    async def start(self, node: str, chains: Mapping[str, MeasuredChain]) -> MeasuredProxy:
        """An Envoy on the proxies' core with a listener for each chain. Raises `EnvoyError`."""
        sidecars = {
            name: Sidecar(name, [it.name for it in chain.filters], [chain.upstream], chooses_host=chain.chooses_host)
            for name, chain in chains.items()
        }
        resources = [it for sidecar in sidecars.values() for it in sidecar_resources(sidecar)]
        filters = [it for chain in chains.values() for it in chain.filters]
        self._xds.set_snapshot(node, Snapshot("1", (*resources, *filters)))
        settings = EnvoySettings(
            Identity(node, node),
            self._folder / node,
            self._xds.address,
            self._sink.address,
            environment=loader_environment(self._key.public_text),
        )
        envoy = EnvoyProcess(settings)
        self._stack.push_async_callback(envoy.stop)
        with running_on(self._cores.proxy):
            await envoy.start()
        await envoy.ready()
        return MeasuredProxy(envoy, {name: await envoy.listener_address(name) for name in chains})


@asynccontextmanager
async def rig(key: SigningKey, echo_headers: Sequence[str] = ()) -> AsyncIterator[Rig]:
    """All of it, until the end of the context, with the Envoys that were started: they trust ``key``.

    ``echo_headers`` as of `Upstream`.
    """
    cores = Cores.divide()
    async with AsyncExitStack() as stack:
        stack.enter_context(running_on(cores.load))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="measure-")))
        upstream = stack.enter_context(Upstream(echo_headers=echo_headers))
        sink = await stack.enter_async_context(Sink())
        xds = await stack.enter_async_context(XdsServer())
        yield Rig(upstream, key, stack, folder, xds, sink, cores)
