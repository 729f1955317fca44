"""Envoys beside services on this machine: started, told their versions, asked what they made of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from google.protobuf.message import Message

from appnet.application.model import DEFAULT_MAX_MESSAGE, Side
from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.filters import chain_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.native.loader import loader_environment
from appnet.processors.envoy.pieces import idle_filter
from appnet.processors.envoy.proxy.binary import EnvoyError
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.replies import replies_from_wasm
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.envoy.tunnel import Tunnel, store_tunnel, tunnel_resources
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.options import ChainOptions
from appnet.processors.processor import Acceptance, NodeAnswer, Nodes, NodeSettings
from appnet.processors.signing import SigningKey, user_key
from appnet.processors.stores import store_of
from appnet.system.address import Address
from appnet.system.tls import ServerTls

_START_SECONDS = 30.0
_NOT_OPENED = "Failed to initialize dynamic module"  # Envoy's words for all that the loader refuses
_LISTENERS = {Side.CLIENT: "egress", Side.SERVER: "ingress"}


class EnvoyNode:
    """An Envoy that the xDS server ``xds`` tells what to run, in native modules that are signed with ``key``."""

    def __init__(self, settings: NodeSettings, xds: XdsServer, key: SigningKey) -> None:
        self.name, self.end, self.processor = settings.name, settings.end, settings.processor
        self._settings, self._xds, self._key = settings, xds, key
        self._process: EnvoyProcess | None = None
        self._address: Address | None = None
        self._replied = False  # the version before, which runs until the new one's code is there

    @property
    def process(self) -> EnvoyProcess:
        """The started proxy."""
        assert self._process is not None
        return self._process

    @property
    def address(self) -> Address:
        """Where it takes calls."""
        assert self._address is not None
        return self._address

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._process is not None and self._process.running

    def last_words(self) -> str:
        """The end of its log."""
        return self.process.log_tail()

    async def start(self, stack: AsyncExitStack, environment: Mapping[str, str], version: str) -> None:
        """Starts it on ``stack``, and waits until it judges what it forwards by the version, which it was offered."""
        settings = self._settings
        process = EnvoyProcess(
            EnvoySettings(
                Identity(self.name, self.end.service),
                settings.folder,
                self._xds.address,
                settings.records,
                workers=settings.workers,
                environment=environment,
            )
        )
        self._process = await stack.enter_async_context(process)
        answer = await self.answer(version, _START_SECONDS)
        if answer.acceptance is not Acceptance.ACKED:
            raise EnvoyError(f"{self.name} refused version {version}: {answer.error or process.log_tail()}")
        await process.ready()
        self._address = await process.listener_address(_LISTENERS[self.end.side])

    def offer(self, version: str, artifacts: Sequence[Artifact]) -> None:
        """Makes these all that it is to run, code included."""
        sidecar = sidecar_of(self._settings, artifacts)
        replies = sidecar.replies
        sidecar = replace(sidecar, replies=replies or self._replied)
        self._replied = replies
        filters = filters_of(self._settings, artifacts, self._key)
        tunnels = tunnels_of(self._settings, artifacts, self._key)
        idle = tuple(idle_filter(it) for it in self._settings.chains if it not in sidecar.filters)
        self._xds.set_snapshot(self.name, Snapshot(version, (*sidecar_resources(sidecar), *tunnels, *filters), idle))

    async def answer(self, version: str, timeout_seconds: float) -> NodeAnswer:
        """Waits until it has accepted or refused the version."""
        answer = (await self._xds.wait(version, [self.name], timeout_seconds))[self.name]
        return replace(answer, error=f"{answer.error}: {self._why()}") if _NOT_OPENED in answer.error else answer

    def _why(self) -> str:
        """What the loader said last: Envoy does not pass it on."""
        said = re.findall(r"\bappnet: (.*)$", self.last_words(), re.MULTILINE)
        return said[-1] if said else "its log says why"


class AwaitedEnvoy(EnvoyNode):
    """An Envoy that somebody else starts, with the name of this node as its own."""

    @property
    def address(self) -> Address:
        """Where it takes calls."""
        return self._settings.bind

    @property
    def running(self) -> bool:
        """Whether it is connected."""
        return self.name in self._xds.connected()

    def last_words(self) -> str:
        """Its log is elsewhere."""
        return "it is not connected"

    def _why(self) -> str:
        return "its log says why; it has to be started with the variables that `appnetctl bootstrap` prints"


def sidecar_of(settings: NodeSettings, artifacts: Sequence[Artifact]) -> Sidecar:
    """What a node does that runs these, in request order."""
    return Sidecar(
        _LISTENERS[settings.end.side],
        [it.name for it in artifacts],
        settings.upstream,
        bind=settings.bind,
        max_message=max((it.limits.max_message for it in artifacts), default=DEFAULT_MAX_MESSAGE),
        chooses_host=len(settings.upstream) > 1,
        delays=any(it.need is Need.DELAY for artifact in artifacts for it in artifact.asked),
        replies=any(replies_from_wasm(it) for it in artifacts),
        idle_seconds=idle_seconds(artifacts),
    )


def filters_of(
    settings: NodeSettings, artifacts: Sequence[Artifact], key: SigningKey | None
) -> list[TypedExtensionConfig]:
    """The configurations of its chains' filters, code included; ``key`` as of `chain_filter`."""
    service, hosts = settings.end.service, len(settings.upstream)

    def options(it: Artifact) -> ChainOptions:
        store = store_of(it, settings.application)
        if store is not None and (tunnel := _tunnel(settings, it, key)) is not None:
            store = replace(store, tunnel=tunnel.socket)
        return ChainOptions(
            *(service, settings.name, it.version, it.limits.max_message, hosts),
            end=settings.end,
            store=store,
            traces=it.limits.traced_share,
            gateway=settings.gateway,
        )

    return [chain_filter(it, options(it), key) for it in artifacts]


def tunnels_of(settings: NodeSettings, artifacts: Sequence[Artifact], key: SigningKey | None) -> list[Message]:
    """The listeners and clusters by which its native chains reach their stores; ``key`` as for `filters_of`."""
    found = dict.fromkeys(it for artifact in artifacts if (it := _tunnel(settings, artifact, key)) is not None)
    return [resource for it in found for resource in tunnel_resources(it)]


def _tunnel(settings: NodeSettings, artifact: Artifact, key: SigningKey | None) -> Tunnel | None:
    store = store_of(artifact, settings.application)
    if artifact.segment.place.target != NATIVE or store is None or key is None:
        return None
    return store_tunnel(store.address, f"{key.public_text} {settings.name}")


def idle_seconds(artifacts: Sequence[Artifact]) -> dict[str, float]:
    """After how long a silent call ends, by the paths of methods that have a limit."""
    found = ((method.signature.full_name, it.limits.idle) for it in artifacts for method in it.chain.methods)
    return {path: seconds for path, seconds in found if seconds}


class EnvoyNodes:
    """Starts Envoys that one xDS server tells what to run. They trust the key of this run alone."""

    def strangers(self) -> frozenset[str]:
        """Envoys that were not started here."""
        return self._xds.strangers()

    def __init__(self, xds: XdsServer, stack: AsyncExitStack) -> None:
        self._xds, self._stack = xds, stack
        self._key = SigningKey.generate()

    async def start(self, settings: NodeSettings, version: str, artifacts: Sequence[Artifact]) -> EnvoyNode:
        """An Envoy that judges calls by the version. Raises `EnvoyError` with its log's end."""
        # Also where none is native yet: an upgrade may bring one.
        environment = await asyncio.to_thread(loader_environment, self._key.public_text)
        node = EnvoyNode(settings, self._xds, self._key)
        node.offer(version, artifacts)
        await node.start(self._stack, environment, version)
        return node


class AwaitedEnvoys:
    """Configures Envoys that others start, as they connect."""

    def strangers(self) -> frozenset[str]:
        """Envoys by names that no node has."""
        return self._xds.strangers()

    def __init__(self, xds: XdsServer, key: SigningKey) -> None:
        self._xds, self._key = xds, key

    async def start(self, settings: NodeSettings, version: str, artifacts: Sequence[Artifact]) -> AwaitedEnvoy:
        """A node that has its version ready for when it connects."""
        node = AwaitedEnvoy(settings, self._xds, self._key)
        node.offer(version, artifacts)
        return node


@asynccontextmanager
async def awaited_nodes(control: Address, tls: ServerTls | None, token: Path | None) -> AsyncIterator[Nodes]:
    """Configures Envoys that others start and that connect to ``control``, until the end of the context."""
    key = await asyncio.to_thread(user_key)  # as the proxies were told when their bootstraps were written
    async with XdsServer(control, tls, token) as xds:
        yield AwaitedEnvoys(xds, key)


@asynccontextmanager
async def envoy_nodes() -> AsyncIterator[Nodes]:
    """What starts Envoys until the end of the context."""
    async with AsyncExitStack() as stack:
        xds = await stack.enter_async_context(XdsServer())
        yield EnvoyNodes(xds, stack)
