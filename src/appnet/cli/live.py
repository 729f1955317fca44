"""What `run` and `serve` show and do while an application is up: upgrades on every save, and records as they come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from appnet.cli.errors import Screens
from appnet.cli.keys import Typing
from appnet.cli.screen import show_diagnostics, tell
from appnet.cli.streams import Rates, stream_line, stream_table
from appnet.control.rollout import Rollout, RolloutError, artifacts_of
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.watch import real, saves
from appnet.diagnostics.diagnostic import DiagnosticError, InternalError
from appnet.observe.totals_page import totals_document
from appnet.optimize.explain import explain, told_changes, told_cost, told_order
from appnet.processors.processor import Acceptance, Node

_TABLE_SECONDS = 0.5
_LINES_SECONDS = 5.0
_NODES_SECONDS = 0.5
_TRAFFIC_SECONDS = 0.5
_MOST_SHOWN = 2_000


def show_plan(machine: LocalMachine, out: Console) -> None:
    """Tells what runs where, and what that costs."""
    version = machine.controller.running
    for name, node in machine.nodes.items():
        artifacts = artifacts_of(node.end, node.processor, version)
        modules = [" + ".join(it.name.value for it in artifact.segment.elements) for artifact in artifacts]
        tell(out, f"  {name} runs {', then '.join(modules) or 'no element'}")
    explanations = [explain(it) for it in version.plans]
    for found, chain in zip(explanations, version.application.chains, strict=True):
        where = f" on {chain.chain.edge}" if len(explanations) > 1 else ""
        tell(out, f"  expected CPU per RPC{where}: {told_cost(found)}")
        for line in told_changes(found):
            tell(out, f"  {line}")
    kept = told_order(explanations)
    if kept:
        tell(out, f"  {kept}; for the reasons, run: appnetctl explain -v", style="dim")


async def together(*works: Coroutine[Any, Any, None]) -> NoReturn:
    """Does all of them until one fails, and raises its error."""
    try:
        async with asyncio.TaskGroup() as group:
            for it in works:
                group.create_task(it)
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    raise AssertionError("work that has no end has ended")


async def show_nodes(machine: LocalMachine, screens: Screens) -> None:
    """Tells of nodes that come and go, of those that refuse their version, and of names that are no node's."""
    here: set[str] = set()
    strange = frozenset[str]()
    refused: set[tuple[str, str]] = set()
    while True:
        for name, node in machine.nodes.items():
            version = machine.controller.meant_for(node).id
            answer = await node.answer(version, 0)
            if answer.acceptance is Acceptance.NACKED and (name, version) not in refused:
                refused.add((name, version))
                tell(screens.err, f"{name} refused version {version}: {plain(answer.error)}")
            if node.running != (name in here):
                (here.add if node.running else here.discard)(name)
                tell(screens.out, f"{name} {'connected' if node.running else 'disconnected'}")
        before, strange = strange, machine.strangers()
        for name in strange - before:
            what = f"connected, but this application has no such node; nodes: {', '.join(machine.nodes)}"
            tell(screens.err, f"{plain(name)} {what}")
        await asyncio.sleep(_NODES_SECONDS)


async def upgrade_on_save(machine: LocalMachine, screens: Screens) -> None:
    """Upgrades on every save that concerns the application."""
    broken: set[Path | None] = set()

    def files() -> set[Path]:
        versions = machine.controller.running, machine.controller.waiting
        paths = {it.path for version in versions if version is not None for it in version.application.sources}
        return {it for it in paths | broken if it is not None}

    async for saved in saves(files, asyncio.Event()):
        names = ", ".join(sorted(it.name for it in saved))
        try:
            rollout = await machine.controller.upgrade()
        except DiagnosticError as error:
            broken = {it.span.source.path for it in error.diagnostics}
            screens.err.print()
            show_diagnostics(screens.err, error.diagnostics)
            tell(screens.err, f"{names}: rejected; version {machine.controller.running.id} keeps running")
            continue
        except (RolloutError, InternalError, OSError) as error:
            tell(screens.err, f"\n{names}: {plain(str(error))}; version {machine.controller.running.id} keeps running")
            continue
        mended, broken = bool(broken), set()
        if rollout is not None:
            screens.out.print()
            show_diagnostics(screens.err, rollout.version.application.warnings)
            _show_rollout(machine, rollout, names, screens.out)
        elif mended or saved & set(map(real, files())):
            waits = machine.controller.waiting
            paused = f"version {waits.id} waits for `appnetctl rollout resume`" if waits is not None else ""
            tell(screens.out, f"\n{names}: {paused or 'no change for the proxies'}")


async def follow_traffic(machine: LocalMachine, screens: Screens) -> None:
    """Goes on by plans that save enough for the traffic that came, or shows them, as each chain says."""
    controller, look = machine.controller, machine.controller.replanner
    while True:
        await asyncio.sleep(_TRAFFIC_SECONDS)
        version, now = controller.running, time.monotonic()
        due = look.due(version)
        if due is None or due > now or not controller.settled:
            continue
        counts = await asyncio.to_thread(totals_document, machine.telemetry.totals)
        try:
            news = await asyncio.to_thread(look.look, version, counts, now)
            adopted = [it for it in news if it.adopted]
            for it in news:
                tell(screens.out, f"\n{plain(str(it))}", style="" if it.adopted else "dim")
            rollout = await controller.replan(adopted) if adopted else None
        except (RolloutError, InternalError, OSError) as error:
            tell(screens.err, f"{plain(str(error))}; version {controller.running.id} keeps running")
            continue
        if rollout is not None:
            _show_rollout(machine, rollout, "another plan", screens.out)


def _show_rollout(machine: LocalMachine, rollout: Rollout, names: str, out: Console) -> None:
    what = ", ".join(rollout.changed) or "the order of elements"
    took = _ms(rollout.compile_seconds)
    tell(out, f"{names}: version {rollout.version.id}, compiled in {took}; new: {what}")
    for name, node in machine.nodes.items():
        if machine.controller.meant_for(node) is rollout.version:
            tell(out, f"  {name} {_state(node, rollout.accept_seconds.get(name))}")
    if rollout.anew:
        tell(out, f"  state not kept, because its type or place changed: {', '.join(rollout.anew)}")
    if machine.controller.candidate is not None:
        told = f"the others stay with {machine.controller.running.id} until `appnetctl rollout promote` or `undo`"
        tell(out, f"  on canaries; {told}")


def plain(text: str) -> str:
    """What others wrote, as a terminal may show it."""
    return "".join(it if it.isprintable() or it == "\n" else "?" for it in text[:_MOST_SHOWN])


def _state(node: Node, seconds: float | None) -> str:
    """How a node stands to a version that it accepted after so many seconds, or had no need to."""
    if seconds is not None:
        return f"accepted after {_ms(seconds)}"
    return "unchanged" if node.running else "gets it when it connects"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


async def show_live(machine: LocalMachine, out: Console, typing: Typing | None = None) -> None:
    """Shows records as they come: a table on a terminal, with what is typed there, else lines."""
    if out.is_terminal:
        await _show_table(machine, out, typing or Typing())
    else:
        await _show_lines(machine, lambda line: tell(out, line))


async def _show_table(machine: LocalMachine, out: Console, typing: Typing) -> None:
    rates = Rates()
    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            summaries = machine.telemetry.records.summaries()
            table = stream_table(summaries, rates.look(summaries))
            typed = [Text(f"> {typing.text}")] if typing.text else []
            live.update(Group("", table, *typed), refresh=True)
            typing.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(typing.changed.wait(), _TABLE_SECONDS)


async def _show_lines(machine: LocalMachine, write: Callable[[str], None]) -> None:
    """A line for each stream that has something new, every few seconds."""
    shown = machine.telemetry.records.counts()
    while True:
        await asyncio.sleep(_LINES_SECONDS)
        for summary in machine.telemetry.records.summaries():
            if shown.get(summary.key) != summary.count:
                write(stream_line(summary))
        shown = machine.telemetry.records.counts()
