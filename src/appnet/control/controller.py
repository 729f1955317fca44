"""What is desired of an application, what runs of it, and the way from the one to the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from appnet.application.model import Application
from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import Version, compile_application
from appnet.control.rollout import Rollout, roll_out
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source, Span
from appnet.optimize import Settings
from appnet.processors.processor import Node


class Controller:
    """The application in ``sources``, on the nodes that were added; `begin` comes first.

    ``running`` is the version that all of them run.
    """

    def __init__(self, sources: Sequence[Source], settings: Settings, where: Where) -> None:
        self.nodes: list[Node] = []
        self._sources, self._settings, self._where = tuple(sources), settings, where
        self._running: Version | None = None

    @property
    def running(self) -> Version:
        """The version that every node runs, or is started with."""
        assert self._running is not None
        return self._running

    async def begin(self) -> Version:
        """The version to start with. Raises `DiagnosticError` for input that cannot be used."""
        self._running = await self._compile()
        return self._running

    async def upgrade(self) -> Rollout | None:
        """Reads everything again and brings what changed to the nodes; None where nothing did.

        Raises `DiagnosticError` for input that cannot be used and `RolloutError` where a node refuses; in both cases
        all nodes go on with the version before.
        """
        began = time.monotonic()
        before, version = self.running, await self._compile()
        if _shape(version) != _shape(before):
            raise DiagnosticError([_another_application(version)])
        if replicas := _other_replicas(version, before):
            raise DiagnosticError(replicas)
        if version.id == before.id:
            return None
        seconds = time.monotonic() - began
        rollout = await roll_out(version, before, self.nodes)
        self._running = version
        return replace(rollout, compile_seconds=seconds)

    async def _compile(self) -> Version:
        return await asyncio.to_thread(self._compile_here)

    def _compile_here(self) -> Version:
        return compile_application(load_application(*self._sources), self._settings, self._where, running=self._running)


def _shape(version: Version) -> object:
    """What running nodes and programs were started by."""
    application = version.application.application
    edges = [(client.value, server.value) for client, server in application.edges]
    chains = [(it.edge, it.proto, tuple(one.value for one in it.processors)) for it in application.chains]
    return edges, chains


def _other_replicas(version: Version, before: Version) -> list[Diagnostic]:
    """An error for each service that has not as many replicas as it was started with."""
    found: list[Diagnostic] = []
    for service in dict.fromkeys(it.value for edge in version.application.application.edges for it in edge):
        now, running = (it.application.manifest.replicas(service) for it in (version, before))
        if now != running:
            title = f"the number of replicas of `{service}` changed"
            span, label = version.application.manifest.replicas_span(service), f"{running} are running"
            help_ = "restart `appnetctl run` to change replicas"
            found.append(Diagnostic("C062", Severity.ERROR, title, span, label, help_))
    return found


def _another_application(version: Version) -> Diagnostic:
    application: Application = version.application.application
    title = "the edge, .proto or processor of the configuration changed"
    help_ = "restart `appnetctl run`"
    edges = ", ".join(str(it.edge) for it in application.chains)
    span: Span = application.chains[0].methods[0].span
    return Diagnostic("C062", Severity.ERROR, title, span, edges, help_)
