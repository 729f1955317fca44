"""An application on one machine: its programs, and processors beside them that the controller tells what to run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from appnet.application.load import LoadedApplication
from appnet.application.model import Edge, Side
from appnet.compile.fit import Where, places_of
from appnet.compile.pipeline import Version
from appnet.control.controller import Controller
from appnet.control.rollout import artifacts_of
from appnet.deploy.local.program import ApplicationProcess
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import base_name
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.store import RecordStore
from appnet.optimize import Settings
from appnet.processors import registry
from appnet.processors.processor import Node, Nodes, NodeSettings
from appnet.samples.guide import EchoApplication, application_for
from appnet.system.address import Address

_ALIVE_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class RunSettings:
    """How to run the application in ``sources``.

    ``folder`` receives logs and the processors' files; ``port`` is the frontend's (0: a free one).
    """

    sources: tuple[Source, ...]
    folder: Path
    plans: Settings = field(default_factory=Settings)
    where: Where = field(default_factory=Where)
    port: int = 0


class LocalMachine:
    """The application with a node of each processor at both ends of its edge. Use it as an async context manager.

    The server runs as often as the manifest has replicas of it, each behind nodes of its own; ``nodes`` are all of
    them by name, ``controller`` is who upgrades them.

    ``progress`` is told in a few words what is being done; ``programs`` gives the programs of an application. Start it
    from the main thread: its children end with it.
    Starting raises ``DiagnosticError`` for input that cannot be used, and ``ProcessorError`` or ``ApplicationError``
    where a part does not come up.
    """

    def __init__(
        self,
        settings: RunSettings,
        progress: Callable[[str], None] = lambda _: None,
        programs: Callable[[LoadedApplication], EchoApplication] = application_for,
    ) -> None:
        self.settings = settings
        self.records = RecordStore()
        self.controller = Controller(settings.sources, settings.plans, settings.where)
        self.nodes: dict[str, Node] = {}
        self._progress = progress
        self._programs_for = programs
        self._receiver = OtlpReceiver()
        self._cleanup = AsyncExitStack()
        self._starters: dict[str, Nodes] = {}
        self._application: EchoApplication | None = None
        self._programs: list[ApplicationProcess] = []

    @property
    def url(self) -> str:
        """Where the frontend takes HTTP requests."""
        return f"http://{self._programs[-1].address}"

    @property
    def application(self) -> EchoApplication:
        """The programs between which the nodes stand."""
        assert self._application is not None
        return self._application

    async def __aenter__(self) -> LocalMachine:
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
        names = ", ".join(map(base_name, settings.sources))
        self._progress(f"compiling {names} to {settings.where.target} modules")
        version = await self.controller.begin()
        self._application = self._programs_for(version.application)
        edge = version.application.chains[0].chain.edge
        await self._cleanup.enter_async_context(self._receiver)
        self._receiver.subscribe(self.records.add)
        hosts = []
        names_of_servers = self._application.server_names
        for replica, name in enumerate(names_of_servers):
            instance = f"{edge.server}-{replica}" if len(names_of_servers) > 1 else edge.server
            self._progress(f"starting {instance} and what stands before it")
            server = await self._program(instance, self._application.server_command(name))
            hosts.append(await self._before(instance, edge, Side.SERVER, [server], version))
        self._progress(f"starting {edge.client} and what stands behind it")
        egress = await self._before(edge.client, edge, Side.CLIENT, hosts, version)
        await self._program(edge.client, self._application.frontend_command(egress, settings.port))

    async def _program(self, name: str, command: Sequence[str | Path]) -> Address:
        process = ApplicationProcess(name, command, self.settings.folder / f"{name}.log")
        self._programs.append(await self._cleanup.enter_async_context(process))
        return process.address

    async def _before(
        self, instance: str, edge: Edge, side: Side, upstream: Sequence[Address], version: Version
    ) -> Address:
        """Starts the side's processors before ``upstream``, the last that a request passes first; where calls go in."""
        chains = (it.chain for it in version.application.chains)
        places = [it for chain in chains for it in places_of(chain, self.settings.where) if it.side is side]
        for processor in dict.fromkeys(it.processor for it in reversed(places)):
            name = f"{instance}-{processor}"
            settings = NodeSettings(
                name,
                edge.service(side),
                side,
                tuple(upstream),
                self.settings.folder / name,
                self._receiver.address,
                self.settings.where.workers,
            )
            upstream = [await self._node(processor, settings, version)]
        return upstream[0]

    async def _node(self, processor: str, settings: NodeSettings, version: Version) -> Address:
        if processor not in self._starters:
            nodes = registry.processor(processor).nodes()
            self._starters[processor] = await self._cleanup.enter_async_context(nodes)
        artifacts = artifacts_of(settings.service, settings.side, processor, version)
        node = await self._starters[processor].start(settings, version.id, artifacts)
        self.nodes[node.name] = node
        self.controller.nodes.append(node)
        return node.address

    async def ended(self) -> str:
        """Waits until one of the programs or processors has ended by itself, and says which."""
        while True:
            for program in self._programs:
                if not program.running:
                    return f"{program.name} has ended{program.last_words()}"
            for name, node in self.nodes.items():
                if not node.running:
                    return f"{name} has ended; its log ends:\n{node.last_words()}"
            await asyncio.sleep(_ALIVE_POLL_SECONDS)
