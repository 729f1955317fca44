"""An application and its proxies on one machine: started, told their chains, upgraded while they run, stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from appnet.application.load import LoadedApplication
from appnet.application.model import Side
from appnet.compile.check import application_notes
from appnet.deploy.local.program import ApplicationProcess
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.store import RecordStore
from appnet.optimize import CostModel
from appnet.optimize.placement import OptLevel
from appnet.optimize.prices import DEFAULT
from appnet.processors.build import CompiledEdge, CompiledSegment, compile_edge
from appnet.processors.envoy.build import Target
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.envoy.xds.state import Acceptance
from appnet.processors.options import ChainOptions
from appnet.samples.guide import EchoApplication, application_for
from appnet.system.address import Address

_SIDECAR = "-sidecar"
_LISTENERS = {Side.CLIENT: "egress", Side.SERVER: "ingress"}
_ANSWER_TIMEOUT_SECONDS = 10.0
_ALIVE_POLL_SECONDS = 0.2
_LOG_TAIL_LINES = 20


class RolloutError(Exception):
    """A proxy refused a version, or gave no answer in time; the version before it runs on."""


@dataclass(frozen=True)
class Rollout:
    """A version that every proxy runs.

    ``changed`` names the segments that are new; ``compile_seconds`` went by until the version was built, and
    ``accept_seconds`` from then until each proxy that got something new had accepted it, by the proxy's name.
    """

    compiled: CompiledEdge
    changed: tuple[str, ...]
    compile_seconds: float
    accept_seconds: Mapping[str, float]


@dataclass(frozen=True)
class LocalProxy:
    """A sidecar that runs: on which side of the edge, and to which hosts it sends calls."""

    side: Side
    upstream: tuple[Address, ...]
    process: EnvoyProcess


@dataclass(frozen=True)
class RunSettings:
    """How to run the AppNetConfig ``config``.

    ``folder`` receives logs and bootstraps, ``workers`` is the number of worker threads of each proxy, ``port`` the
    frontend's (0: a free one), ``model`` has the prices that plans are made by.
    """

    config: Path
    folder: Path
    target: Target = Target.NATIVE
    level: OptLevel = OptLevel.STRONG
    workers: int = 1
    port: int = 0
    model: CostModel = DEFAULT


class LocalRunner:
    """The application of one AppNetConfig with a sidecar at each end of its edge. Use it as an async context manager.

    The server runs as often as the manifest has replicas of it, each behind a sidecar of its own; ``proxies`` are all
    sidecars by name.

    ``progress`` is told in a few words what is being done; ``application`` gives its programs. Start it
    from the main thread: its children end with it.
    Starting raises ``DiagnosticError`` for input that cannot be used, and ``EnvoyError``, ``ApplicationError`` or
    ``RolloutError`` where a part does not come up.
    """

    def __init__(
        self,
        settings: RunSettings,
        progress: Callable[[str], None] = lambda _: None,
        application: Callable[[LoadedApplication], EchoApplication] = application_for,
    ) -> None:
        self.settings = settings
        self.records = RecordStore()
        self.xds = XdsServer()
        self.proxies: dict[str, LocalProxy] = {}
        self._progress = progress
        self._application_for = application
        self._receiver = OtlpReceiver()
        self._cleanup = AsyncExitStack()
        self._compiled: CompiledEdge | None = None
        self._application: EchoApplication | None = None
        self._programs: list[ApplicationProcess] = []

    @property
    def url(self) -> str:
        """Where the frontend takes HTTP requests."""
        return f"http://{self._programs[-1].address}"

    @property
    def running(self) -> CompiledEdge:
        """What the proxies run now."""
        assert self._compiled is not None
        return self._compiled

    @property
    def application(self) -> EchoApplication:
        """The application between whose programs the proxies stand."""
        assert self._application is not None
        return self._application

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
        self._progress(f"compiling {settings.config.name} to {settings.target.value} modules")
        self._compiled = await self._compile()
        self._application = self._application_for(self._compiled.application)
        edge = self._compiled.plan.edge
        await self._cleanup.enter_async_context(self._receiver)
        self._receiver.subscribe(self.records.add)
        await self._cleanup.enter_async_context(self.xds)
        hosts = []
        for replica, name in enumerate(self._application.server_names):
            node = self.nodes(Side.SERVER)[replica]
            self._progress(f"starting {edge.server} and its Envoy {node}")
            server = await self._program(node.removesuffix(_SIDECAR), self._application.server_command(name))
            hosts.append(await self._proxy(Side.SERVER, node, [server]))
        self._progress(f"starting {edge.client} and its Envoy")
        (node,) = self.nodes(Side.CLIENT)
        egress = await self._proxy(Side.CLIENT, node, hosts)
        await self._program(edge.client, self._application.frontend_command(egress, settings.port))

    async def _compile(self) -> CompiledEdge:
        settings = self.settings
        compiled = await asyncio.to_thread(
            compile_edge, settings.config, settings.target, settings.level, self._compiled, settings.model
        )
        notes = application_notes(compiled.application, settings.target.value) if settings.workers > 1 else []
        wrong = [replace(it, code="C064", severity=Severity.ERROR) for it in notes if it.code == "N001"]
        if wrong:
            raise DiagnosticError(wrong)
        return compiled

    async def _program(self, name: str, command: Sequence[str | Path]) -> Address:
        process = ApplicationProcess(name, command, self.settings.folder / f"{name}.log")
        self._programs.append(await self._cleanup.enter_async_context(process))
        return process.address

    async def _proxy(self, side: Side, node: str, upstream: Sequence[Address]) -> Address:
        """Starts the proxy ``node`` and waits until it judges what it forwards to ``upstream``."""
        self.xds.set_snapshot(node, self._snapshot(side, node, upstream, self.running))
        settings = EnvoySettings(
            Identity(node, self.running.plan.edge.service(side)),
            self.settings.folder / node,
            self.xds.address,
            self._receiver.address,
            workers=self.settings.workers,
            module_path=await self._module_path(),
        )
        proxy = await self._cleanup.enter_async_context(EnvoyProcess(settings))
        self.proxies[node] = LocalProxy(side, tuple(upstream), proxy)
        await self._accepted(self.running.version, [node])
        await proxy.ready()
        return await proxy.listener_address(_LISTENERS[side])

    async def _module_path(self) -> Path | None:
        if self.settings.target is not Target.NATIVE:
            return None
        return (await asyncio.to_thread(loader_library)).parent

    def nodes(self, side: Side) -> list[str]:
        """The names of the proxies on ``side``: one, or on the server's one for each replica, numbered from 0."""
        service = self.running.plan.edge.service(side)
        count = len(self.application.server_names) if side is Side.SERVER else 1
        return [f"{service}-{number}{_SIDECAR}" for number in range(count)] if count > 1 else [service + _SIDECAR]

    def _snapshot(self, side: Side, node: str, upstream: Sequence[Address], compiled: CompiledEdge) -> Snapshot:
        segments = compiled.on(side)
        names = [it.segment.name for it in segments]
        elements = (compiled.edge.elements[spec.name.value] for it in segments for spec in it.segment.elements)
        delays = any(it.req.effects.delays for it in elements)
        sidecar = Sidecar(_LISTENERS[side], names, upstream, chooses_host=len(upstream) > 1, delays=delays)
        service, hosts = compiled.plan.edge.service(side), len(upstream)
        filters = (self._filter(it, ChainOptions(service, node, it.version, backend_count=hosts)) for it in segments)
        return Snapshot(compiled.version, (*sidecar_resources(sidecar), *filters))

    def _filter(self, compiled: CompiledSegment, options: ChainOptions) -> TypedExtensionConfig:
        name = compiled.segment.name
        if self.settings.target is Target.WASM:
            return wasm_filter(name, compiled.module, options)
        return native_filter(name, compiled.module, options, loader_library().stem.removeprefix("lib"))

    async def upgrade(self) -> Rollout | None:
        """Reads everything again and brings what changed to the proxies; None where nothing did.

        Raises ``DiagnosticError`` for input that cannot be used and ``RolloutError`` where a proxy refuses; in both
        cases all proxies go on with the version before.
        """
        started = time.monotonic()
        compiled = await self._compile()
        before = self.running
        application = self._application_for(compiled.application)
        same = application.proto == self.application.proto and application.replicas == self.application.replicas
        if compiled.plan.edge != before.plan.edge or not same:
            raise DiagnosticError([_another_edge(compiled)])
        if compiled.version == before.version:
            return None
        sent = time.monotonic()
        old, new = _versions(before), _versions(compiled)
        changed_sides = [side for side in Side if list(old[side].items()) != list(new[side].items())]
        nodes = [node for node, it in self.proxies.items() if it.side in changed_sides]
        self._set_snapshots(compiled)
        try:
            accepted = await self._accepted(compiled.version, nodes)
        except RolloutError:
            self._set_snapshots(before)
            await self.xds.wait(before.version, nodes, _ANSWER_TIMEOUT_SECONDS)
            raise
        self._compiled = compiled
        changed = tuple(name for side in Side for name in new[side] if old[side].get(name) != new[side][name])
        return Rollout(compiled, changed, sent - started, accepted)

    def _set_snapshots(self, compiled: CompiledEdge) -> None:
        for node, it in self.proxies.items():
            self.xds.set_snapshot(node, self._snapshot(it.side, node, it.upstream, compiled))

    async def _accepted(self, version: str, nodes: Sequence[str]) -> dict[str, float]:
        """Waits until ``nodes`` have accepted ``version``: after how many seconds, by node."""
        started = time.monotonic()

        async def one(node: str) -> float:
            delivery = (await self.xds.wait(version, [node], _ANSWER_TIMEOUT_SECONDS))[node]
            if delivery.acceptance is Acceptance.NACKED:
                raise RolloutError(f"{node} refused version {version}: {delivery.error}")
            if delivery.acceptance is not Acceptance.ACKED:
                raise RolloutError(f"{node} did not answer to {version} within {_ANSWER_TIMEOUT_SECONDS:.0f} s")
            return time.monotonic() - started

        answers = await asyncio.gather(*map(one, nodes), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return {node: answer for node, answer in zip(nodes, answers, strict=True) if isinstance(answer, float)}

    async def ended(self) -> str:
        """Waits until one of the programs or proxies has ended by itself, and says which."""
        while True:
            for program in self._programs:
                if not program.running:
                    log = program.log_path.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:]
                    return "\n".join((f"{program.name} has ended; its log ends:", *log))
            for node, proxy in self.proxies.items():
                if not proxy.process.running:
                    return f"{node} has ended; its log ends:\n{proxy.process.log_tail()}"
            await asyncio.sleep(_ALIVE_POLL_SECONDS)


def _versions(compiled: CompiledEdge) -> dict[Side, dict[str, str]]:
    """Version of each segment by name, in request order, for each side."""
    return {side: {it.segment.name: it.version for it in compiled.on(side)} for side in Side}


def _another_edge(compiled: CompiledEdge) -> Diagnostic:
    title = "the configuration is for another edge, .proto or number of replicas now"
    help_ = "end this run and start it again"
    return Diagnostic(
        "C062", Severity.ERROR, title, compiled.application.application.edges[0][0].span, str(compiled.plan.edge), help_
    )
