"""What is desired of an application, what runs of it, and the way from the one to the other."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from appnet.application.model import Application
from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import Version, compile_application
from appnet.control.canary import half_changes
from appnet.control.replan import Better, Replanner
from appnet.control.rollout import Rollout, RolloutError, roll_out
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source, Span
from appnet.optimize import Settings
from appnet.processors.processor import Acceptance, Node

_MOST_KEPT = 5


@dataclass(frozen=True)
class Past:
    """A version that ran before, until then, in seconds since the epoch."""

    version: Version
    until: float


class Controller:
    """The application in ``sources``, on the nodes that were added; `begin` comes first.

    ``running`` is the version that all of them run, but for ``canaries``, nodes by name that run ``candidate`` where
    there is one: what was saved goes to them first. ``past`` are the last few versions that ran before, the last first.
    ``prepare`` is called before a version is brought to any node. ``replanner`` follows the traffic. While it is
    ``paused``, nodes keep their versions, and the last one that was saved is ``waiting``.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        settings: Settings,
        where: Where,
        canaries: Iterable[str] = (),
        prepare: Callable[[Version], None] = lambda _: None,
    ) -> None:
        self.nodes: list[Node] = []
        self.canaries = frozenset(canaries)
        self.candidate: Version | None = None
        self.paused = False
        self.waiting: Version | None = None
        self.past: deque[Past] = deque(maxlen=_MOST_KEPT)
        self._undone: set[str] = set()
        self._gone_back_to = ""
        self._sources, self._settings, self._where = tuple(sources), settings, where
        self.replanner = Replanner(settings, where)
        self._prepare = prepare
        self._running: Version | None = None
        self._changing = asyncio.Lock()

    @property
    def running(self) -> Version:
        """The version that every node runs, or is started with."""
        assert self._running is not None
        return self._running

    @property
    def versions(self) -> list[Version]:
        """Those that are known: the candidate, the running one, and the last few before it."""
        known = [self.candidate, self._running, *(it.version for it in self.past)]
        return [it for it in known if it is not None]

    def meant_for(self, node: Node) -> Version:
        """The version that a node is to run."""
        return self.candidate if self.candidate is not None and node.name in self.canaries else self.running

    async def begin(self) -> Version:
        """The version to start with. Raises `DiagnosticError` for input that cannot be used."""
        self._running = await self._compile()
        self._prepare(self._running)
        return self._running

    async def upgrade(self) -> Rollout | None:
        """Reads everything again and brings what changed to the nodes, or to the canaries where there are any; None
        where nothing did, or where it waits.

        Raises `DiagnosticError` for input that cannot be used and `RolloutError` where a node refuses; in both cases
        all nodes go on with the version before.
        """
        async with self._changing:
            began = time.monotonic()
            before, version = self.running, await self._compile()
            if _shape(version) != _shape(before):
                raise DiagnosticError([_another_application(version)])
            if wrong := _other_replicas(version, before):
                raise DiagnosticError(wrong)
            if wrong := list(half_changes(version, before, self.canaries, self.nodes)):
                raise DiagnosticError(wrong)
            if self.paused:
                self._wait(version)
                return None
            self._prepare(version)
            seconds = time.monotonic() - began
            rollout = await self._bring(version)
            return None if rollout is None else replace(rollout, compile_seconds=seconds)

    def _wait(self, version: Version) -> None:
        if version.id not in self._undone:
            self._undone.clear()
            self.waiting = version if version.id != (self.candidate or self.running).id else None

    async def pause(self) -> None:
        """Has later versions wait until `resume`. Raises `RolloutError` where they do so already."""
        async with self._changing:
            if self.paused:
                raise RolloutError("the rollout is paused already")
            self.paused = True

    async def resume(self) -> Rollout:
        """Brings the version that waits to the nodes, or to the canaries, and later ones when they are saved.

        Raises `RolloutError` where nothing is paused, or a node refuses: all go on with the version before.
        """
        async with self._changing:
            if not self.paused:
                raise RolloutError("the rollout is not paused")
            self.paused, version, self.waiting = False, self.waiting, None
            if version is not None:
                self._prepare(version)
            rollout = await self._bring(version) if version is not None else None
            return rollout or self._as_it_is()

    def _as_it_is(self) -> Rollout:
        return Rollout(self.candidate or self.running, (), (), {})

    @property
    def settled(self) -> bool:
        """Whether plans may follow traffic: no rollout is under way or paused, no canary is to be judged, and nobody
        went back to the version that runs."""
        quiet = not self._changing.locked() and not self.paused
        return quiet and self.candidate is None and self._gone_back_to != self.running.id

    async def replan(self, found: Iterable[Better]) -> Rollout | None:
        """Brings the running version by other plans to the nodes, as any version. None where it is not `settled`, or
        another version runs by now.

        Raises `RolloutError` where a node refuses: all go on with the version before.
        """
        found = list(found)
        if not self.settled:
            for it in found:
                self.replanner.suggested.pop(it.number, None)  # so that it is news again
            return None
        async with self._changing:
            running, plans = self.running, list(self.running.plans)
            for it in found:
                if it.version != running.id:
                    return None
                plans[it.number] = it.plan
            began = time.monotonic()
            version = await asyncio.to_thread(self._by_plans, replace(running, plans=tuple(plans)))
            seconds = time.monotonic() - began
            rollout = await self._bring(version)
            return None if rollout is None else replace(rollout, compile_seconds=seconds)

    def _by_plans(self, planned: Version) -> Version:
        return compile_application(planned.application, self._settings, self._where, running=planned)

    async def promote(self) -> Rollout:
        """Brings what the canaries run to all nodes. Raises `RolloutError` where there is no such thing, where the
        rollout is paused, or where a node refuses: then it stays with the canaries."""
        async with self._changing:
            if self.candidate is None:
                raise RolloutError("there is no canary to promote")
            if self.paused:
                raise RolloutError("the rollout is paused: resume it first")
            others = [it for it in self.nodes if it.name not in self.canaries]
            return await self._replace_running(self.candidate, others)

    async def undo(self) -> Rollout:
        """Drops the version that waits. Where none does, brings the canaries back to what the other nodes run, or where
        there are none all nodes to the version before, paused or not. What was undone comes back only once another
        version was saved: any file may be saved meanwhile.

        Raises `RolloutError` where there is none, or a node refuses.
        """
        async with self._changing:
            if self.waiting is not None:
                self._undone.add(self.waiting.id)
                self.waiting = None
                return self._as_it_is()
            undone = (self.candidate or self.running).id
            if self.candidate is not None:
                rollout = await self._withdraw(self.candidate)
            elif not self.past:
                raise RolloutError("no version ran before this one")
            else:
                rollout = await roll_out(self.past[0].version, self.running, self.nodes)
                self._running = self.past.popleft().version
            self._undone.add(undone)
            self._gone_back_to = self.running.id
            return rollout

    async def _bring(self, version: Version) -> Rollout | None:
        if version.id in self._undone:
            return None
        self._undone.clear()
        if version.id == self.running.id and self.candidate is not None:
            return await self._withdraw(self.candidate)
        target = self.candidate or self.running
        concerned = [it for it in self.nodes if it.name in self.canaries] if self.canaries else self.nodes
        if version.id == target.id:
            if target is self.running:
                self._running = version  # what it says of more than code may be new
            refused = [it for it in concerned if it.running and await _refused(it, version)]
            return await roll_out(version, version, refused) if refused else None
        if not self.canaries:
            return await self._replace_running(version, self.nodes)
        rollout = await roll_out(version, target, concerned)
        self.candidate = version
        return rollout

    async def _withdraw(self, candidate: Version) -> Rollout:
        rollout = await roll_out(self.running, candidate, [it for it in self.nodes if it.name in self.canaries])
        self.candidate = None
        return rollout

    async def _replace_running(self, version: Version, nodes: Sequence[Node]) -> Rollout:
        rollout = await roll_out(version, self.running, nodes)
        self.past.appendleft(Past(self.running, time.time()))
        self._running, self.candidate, self._gone_back_to = version, None, ""
        return rollout

    async def _compile(self) -> Version:
        return await asyncio.to_thread(self._compile_here)

    def _compile_here(self) -> Version:
        return compile_application(
            load_application(*self._sources, where=self._where), self._settings, self._where, running=self._running
        )


async def _refused(node: Node, version: Version) -> bool:
    return (await node.answer(version.id, 0)).acceptance is Acceptance.NACKED


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
