"""An application and its proxies on one machine: started, told their chains, upgraded while they run, stopped."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from appnet.codegen.c import Target
from appnet.control.application import ApplicationProcess
from appnet.control.snapshot import Snapshot
from appnet.control.xds_node import Acceptance, Delivery
from appnet.control.xds_server import XdsServer
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity
from appnet.network.config import AppNetConfig
from appnet.network.placement import OptLevel, Side
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.store import RecordStore
from appnet.processors.address import Address
from appnet.processors.build import CompiledEdge, CompiledSegment, compile_edge
from appnet.processors.envoy.bootstrap import Identity
from appnet.processors.envoy.filters import ChainOptions, native_filter, wasm_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.loader import loader_library
from appnet.processors.envoy.process import EnvoyProcess, EnvoySettings

_LISTENERS = {Side.CLIENT: "egress", Side.SERVER: "ingress"}
_PUSH_TIMEOUT_SECONDS = 10.0
_KNOWN_APPLICATIONS = {"echo": "appnet.samples.echo"}


class RolloutError(Exception):
    """A proxy refused a version, or gave no answer in time; the version before it runs on."""


@dataclass(frozen=True)
class Rollout:
    """A version that every proxy runs. ``accepted_ms`` is how long each took to accept, by service."""

    compiled: CompiledEdge
    changed: tuple[str, ...]
    compiled_ms: float
    accepted_ms: float
    deliveries: dict[str, Delivery]


@dataclass(frozen=True)
class RunSettings:
    """``folder`` receives logs and bootstraps; ``workers`` is the number of worker threads of each proxy."""

    config: Path
    folder: Path
    target: Target = Target.NATIVE
    level: OptLevel = OptLevel.STRONG
    workers: int = 1


class LocalRunner:
    """The application of one AppNetConfig with a sidecar at each end of its edge. Use it as an async context manager.

    ``progress`` is told in a few words what is being done. Start it from the main thread: its children end with it.
    """

    def __init__(self, settings: RunSettings, progress: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        self.records = RecordStore()
        self.xds = XdsServer()
        self.proxies: dict[Side, EnvoyProcess] = {}
        self._progress = progress
        self._receiver = OtlpReceiver()
        self._cleanup = AsyncExitStack()
        self._compiled: CompiledEdge | None = None
        self._upstream: dict[Side, Address] = {}
        self._frontend: ApplicationProcess | None = None

    @property
    def url(self) -> str:
        """Where the frontend takes HTTP requests."""
        assert self._frontend is not None
        return f"http://{self._frontend.address}"

    @property
    def running(self) -> CompiledEdge:
        """What the proxies run now."""
        assert self._compiled is not None
        return self._compiled

    async def __aenter__(self) -> LocalRunner:
        try:
            await self._start()
        except BaseException:
            await self._cleanup.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cleanup.aclose()

    async def _start(self) -> None:
        settings = self.settings
        self._progress(f"compiling {settings.config.name} for {settings.target.value}")
        self._compiled = await self._compile()
        config = self._compiled.edge.config
        module = _application_module(config)
        await self._cleanup.enter_async_context(self._receiver)
        self._receiver.subscribe(self.records.add)
        await self._cleanup.enter_async_context(self.xds)
        self._progress(f"starting {config.server_service} and its proxy")
        server = await self._application("server", module, "server", "--proto", config.proto)
        ingress = await self._proxy(Side.SERVER, server.address)
        self._progress(f"starting {config.client_service} and its proxy")
        egress = await self._proxy(Side.CLIENT, ingress)
        self._frontend = await self._application(
            "frontend", module, "frontend", "--proto", config.proto, "--server", str(egress)
        )

    async def _compile(self) -> CompiledEdge:
        settings = self.settings
        return await asyncio.to_thread(compile_edge, settings.config, settings.target, settings.level)

    async def _application(self, name: str, module: str, *arguments: str | Path) -> ApplicationProcess:
        command = [sys.executable, "-m", module, *arguments]
        process = ApplicationProcess(name, command, self.settings.folder / f"{name}.log")
        return await self._cleanup.enter_async_context(process)

    async def _proxy(self, side: Side, upstream: Address) -> Address:
        """Starts the proxy of ``side`` and waits until it judges what it forwards to ``upstream``."""
        node = self._node(side)
        self._upstream[side] = upstream
        self.xds.set_snapshot(node, self._snapshot(side, self.running))
        loader = await asyncio.to_thread(loader_library) if self.settings.target is Target.NATIVE else None
        settings = EnvoySettings(
            Identity(node, self.running.plan.edge.service(side)),
            self.settings.folder / node,
            self.xds.address,
            self._receiver.address,
            workers=self.settings.workers,
            module_path=loader.parent if loader else None,
        )
        proxy = await self._cleanup.enter_async_context(EnvoyProcess(settings))
        self.proxies[side] = proxy
        await self._accepted(self.running.version, [node])
        await proxy.ready()
        return await proxy.listener_address(_LISTENERS[side])

    def _node(self, side: Side) -> str:
        return f"{self.running.plan.edge.service(side)}-sidecar"

    def _snapshot(self, side: Side, compiled: CompiledEdge) -> Snapshot:
        segments = compiled.on(side)
        names = [it.segment.name for it in segments]
        sidecar = Sidecar(_LISTENERS[side], names, [self._upstream[side]])
        filters = (self._filter(side, it) for it in segments)
        return Snapshot(compiled.version, (*sidecar_resources(sidecar), *filters))

    def _filter(self, side: Side, compiled: CompiledSegment) -> TypedExtensionConfig:
        options = ChainOptions(
            self.running.plan.edge.service(side), self._node(side), compiled.version, backend_count=1
        )
        name = compiled.segment.name
        if self.settings.target is Target.WASM:
            return wasm_filter(name, compiled.module, options)
        loader = loader_library().stem.removeprefix("lib")
        return native_filter(name, compiled.module, options, loader)

    async def _accepted(self, version: str, nodes: Sequence[str]) -> dict[str, Delivery]:
        deliveries = await self.xds.wait(version, nodes, _PUSH_TIMEOUT_SECONDS)
        for node, delivery in deliveries.items():
            if delivery.acceptance is Acceptance.NACKED:
                raise RolloutError(f"{node} refused version {version}: {delivery.error}")
            if delivery.acceptance is not Acceptance.ACKED:
                raise RolloutError(f"{node} did not answer version {version} within {_PUSH_TIMEOUT_SECONDS:.0f} s")
        return deliveries

    async def upgrade(self) -> Rollout | None:
        """Reads everything again and brings what changed to the proxies; None where nothing did.

        Raises `DiagnosticError` for input that cannot be used and `RolloutError` where a proxy refuses; in both cases
        the version before runs on.
        """
        started = time.monotonic()
        compiled = await self._compile()
        before = self.running
        if compiled.plan.edge != before.plan.edge or compiled.edge.config.app_name != (before.edge.config.app_name):
            raise DiagnosticError([_another_edge(compiled)])
        if compiled.version == before.version:
            return None
        sent = time.monotonic()
        try:
            deliveries = await self._push(compiled)
        except RolloutError:
            self._set_snapshots(before)
            raise
        self._compiled = compiled
        old = {it.segment.name: it.version for it in before.segments}
        changed = tuple(it.segment.name for it in compiled.segments if old.get(it.segment.name) != it.version)
        now = time.monotonic()
        return Rollout(compiled, changed, (sent - started) * 1e3, (now - sent) * 1e3, deliveries)

    async def _push(self, compiled: CompiledEdge) -> dict[str, Delivery]:
        self._set_snapshots(compiled)
        return await self._accepted(compiled.version, [self._node(side) for side in self.proxies])

    def _set_snapshots(self, compiled: CompiledEdge) -> None:
        for side in self.proxies:
            self.xds.set_snapshot(self._node(side), self._snapshot(side, compiled))


def _application_module(config: AppNetConfig) -> str:
    module = _KNOWN_APPLICATIONS.get(config.app_name)
    if module is None:
        known = ", ".join(f"`{it}`" for it in _KNOWN_APPLICATIONS)
        title = f"application `{config.app_name}` cannot be run on one machine"
        span = config.client_service.span
        help_ = f"programs are there for {known}; take a cluster for others"
        raise DiagnosticError([Diagnostic("C061", Severity.ERROR, title, span, "its client", help_)])
    return module


def _another_edge(compiled: CompiledEdge) -> Diagnostic:
    span = compiled.edge.config.client_service.span
    title = "the configuration is for another edge now"
    help_ = "end this run and start it again for the new edge"
    return Diagnostic("C062", Severity.ERROR, title, span, str(compiled.plan.edge), help_)
