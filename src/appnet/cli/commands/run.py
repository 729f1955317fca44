"""`appnetctl run`: an application with its elements, live."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
from rich.console import Console
from rich.live import Live

from appnet.application.model import Limits, Side
from appnet.cli.errors import FAILURE, Screens, open_screens, told_errors
from appnet.cli.options import (
    ConcurrencyOption,
    FilesArgument,
    IdleTimeoutOption,
    LevelOption,
    MaxMessageOption,
    PricesOption,
    TargetOption,
)
from appnet.cli.planned import where_of
from appnet.cli.screen import Steps, show_diagnostics
from appnet.cli.streams import Rates, stream_line, stream_name, stream_table, value_text
from appnet.cli.supervise import supervised
from appnet.compile.fit import DEFAULT_TARGET
from appnet.compile.pipeline import sides_of
from appnet.control.rollout import Rollout, RolloutError, artifacts_of
from appnet.deploy.local.machine import LocalMachine, RunSettings
from appnet.deploy.local.program import ApplicationError
from appnet.deploy.local.watch import real, saves
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource, base_name
from appnet.optimize import Settings
from appnet.optimize.explain import explain, told_changes, told_order
from appnet.optimize.placement import OptLevel
from appnet.processors.processor import ProcessorError
from appnet.samples.foreseen import Foreseen
from appnet.samples.guide import ECHO_METHOD, Expectation, FrontendAnswer, get

_MAX_CALLS = 20  # where chance answers so often in a row, it is no chance
_RECORDS_TIMEOUT_SECONDS = 10.0
_SHOWN_RECORDS = 5
_TABLE_SECONDS = 0.5
_LINES_SECONDS = 5.0


async def run_once(settings: RunSettings, screens: Screens) -> bool:
    """Makes the calls of the application's guide, shows what they brought, and says whether all was as it should be."""
    async with _running(settings, screens) as machine:
        met = await _guide_calls(machine, screens)
        good = [well for well, _ in met]
        streams = frozenset[str]().union(*(it.streams for _, it in met))
        good.append(await _show_records(machine, streams, screens))
        screens.out.print("\nall as it should be" if all(good) else "\nnot as it should be")
        return all(good)


async def run_until_told(settings: RunSettings, screens: Screens) -> bool:
    """Stays up and brings every save to the proxies; ends, with False, only where a program or a proxy ends."""
    out = screens.out
    async with _running(settings, screens) as machine:
        await _guide_calls(machine, screens)
        files = ", ".join(sorted({base_name(it) for it in machine.controller.running.application.sources}))
        out.print(f"\nup: curl '{machine.url}/?key=hello'", markup=False)
        out.print(f"[dim]save any of {files} to upgrade the proxies; Ctrl-C ends[/]\n")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_upgrade_on_save(machine, screens))
            showing = group.create_task(_show_live(machine, out))
            what = await machine.ended()
            watching.cancel()
            showing.cancel()
        screens.err.print(f"error: {what}", markup=False)
        return False


@contextlib.asynccontextmanager
async def _running(settings: RunSettings, screens: Screens) -> AsyncIterator[LocalMachine]:
    steps = Steps(screens.out)
    try:
        with tempfile.TemporaryDirectory(prefix="appnet-") as folder:
            async with LocalMachine(replace(settings, folder=Path(folder)), steps.begin) as machine:
                steps.end()
                show_diagnostics(screens.err, machine.controller.running.application.warnings)
                _show_plan(machine, screens.out)
                yield machine
    finally:
        steps.abandon()


def _show_plan(machine: LocalMachine, out: Console) -> None:
    version = machine.controller.running
    for name, node in machine.nodes.items():
        artifacts = artifacts_of(node.service, node.side, node.processor, version)
        modules = [" + ".join(it.name.value for it in artifact.segment.elements) for artifact in artifacts]
        out.print(f"  {name} runs {', then '.join(modules) or 'no element'}", markup=False)
    explanations = [explain(it) for it in version.plans]
    for found in explanations:
        out.print(
            f"  expected CPU of an RPC: {found.cost:.1f} us; as written: {found.written_cost:.1f} us", markup=False
        )
        for line in told_changes(found):
            out.print(f"  {line}", markup=False)
    names = " ".join(str(it.path) for it in machine.settings.sources)
    kept = told_order(explanations)
    out.print(f"[dim]  {f'{kept}: ' if kept else ''}appnetctl explain {names} says why[/]")


async def _guide_calls(machine: LocalMachine, screens: Screens) -> list[tuple[bool, Expectation]]:
    """Makes the calls of the guide; of each, whether its answer was right, and what should have come of it."""
    sides, method = sides_of(machine.controller.running, ECHO_METHOD)
    foreseen = Foreseen(machine.application, sides[Side.CLIENT], sides[Side.SERVER], method)
    return [await _guide_call(machine, key, foreseen, screens) for key in machine.application.guide]


async def _guide_call(
    machine: LocalMachine, key: str, foreseen: Foreseen, screens: Screens
) -> tuple[bool, Expectation]:
    """Calls as a user would, again where an element answered by chance."""
    for _ in range(_MAX_CALLS):
        expected = foreseen.next(key)
        screens.out.print(f"\n$ curl '{machine.url}/?key={key}'", markup=False)
        try:
            answer = await get(machine.url, key)
        except (aiohttp.ClientError, TimeoutError) as error:
            screens.err.print(f"failed: {machine.url} does not answer: {error}", markup=False)
            return False, expected
        foreseen.answered(answer)
        screens.out.print(answer.text, markup=False)
        if answer == expected.usual or answer in expected.alike:
            return True, expected
        if answer not in expected.by_chance:
            break
        screens.out.print(f"[dim]an element refused this call by chance: {answer.message}; calling again[/]")
    screens.err.print(f"failed: {_described(answer)}; expected {_described(expected.usual)}", markup=False)
    return False, expected


def _described(answer: FrontendAnswer) -> str:
    status = f" with gRPC status {answer.status}, {answer.message!r}" if answer.status else ""
    return f"{answer.text!r}{status}"


async def _show_records(machine: LocalMachine, wanted: frozenset[str], screens: Screens) -> bool:
    """Waits for a record of each stream in ``wanted`` and shows all; says whether they came."""

    def missing() -> frozenset[str]:
        return wanted - {stream_name(it) for it in machine.records.counts()}

    deadline = time.monotonic() + _RECORDS_TIMEOUT_SECONDS
    while missing() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    screens.out.print("\nrecords:")
    for summary in machine.records.summaries():
        screens.out.print(f"  {stream_line(summary)}", markup=False)
        for record in machine.records.records(*summary.key)[-_SHOWN_RECORDS:]:
            place = value_text(record.resource.get("appnet.processor"))
            screens.out.print(f"    {value_text(record.value)}  at {place}", markup=False)
    if missing():
        names = ", ".join(sorted(missing()))
        screens.err.print(f"failed: no records of {names} within {_RECORDS_TIMEOUT_SECONDS:.0f} s", markup=False)
    return not missing()


async def _upgrade_on_save(machine: LocalMachine, screens: Screens) -> None:
    """Upgrades on every save that concerns the application."""
    broken: set[Path | None] = set()

    def files() -> set[Path]:
        paths = {it.path for it in machine.controller.running.application.sources}
        return {it for it in paths | broken if it is not None}

    async for saved in saves(files, asyncio.Event()):
        names = ", ".join(sorted(it.name for it in saved))
        try:
            rollout = await machine.controller.upgrade()
        except DiagnosticError as error:
            broken = {it.span.source.path for it in error.diagnostics}
            show_diagnostics(screens.err, error.diagnostics)
            screens.err.print(f"{names}: not taken; version {machine.controller.running.id} runs on", markup=False)
            continue
        except RolloutError as error:
            screens.err.print(f"{names}: {error}; version {machine.controller.running.id} runs on", markup=False)
            continue
        mended, broken = bool(broken), set()
        if rollout is not None:
            show_diagnostics(screens.err, rollout.version.application.warnings)
            _show_rollout(machine, rollout, names, screens.out)
        elif mended or saved & set(map(real, files())):
            screens.out.print(f"{names}: nothing changes for the proxies", markup=False)


def _show_rollout(machine: LocalMachine, rollout: Rollout, names: str, out: Console) -> None:
    what = ", ".join(rollout.changed) or "the order of elements"
    out.print(f"{names}: version {rollout.version.id}, new: {what}; compiled in {_ms(rollout.compile_seconds)}")
    for node in machine.nodes:
        seconds = rollout.accept_seconds.get(node)
        state = "unchanged" if seconds is None else f"accepted after {_ms(seconds)}"
        out.print(f"  {node} {state}", markup=False)
    if rollout.anew:
        out.print(f"  anew, with another type or in another place: {', '.join(rollout.anew)}", markup=False)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


async def _show_live(machine: LocalMachine, out: Console) -> None:
    if out.is_terminal:
        await _show_table(machine, out)
    else:
        await _show_lines(machine, lambda line: out.print(line, markup=False))


async def _show_table(machine: LocalMachine, out: Console) -> None:
    rates = Rates()
    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            summaries = machine.records.summaries()
            live.update(stream_table(summaries, rates.look(summaries)), refresh=True)
            await asyncio.sleep(_TABLE_SECONDS)


async def _show_lines(machine: LocalMachine, write: Callable[[str], None]) -> None:
    """A line for each stream that has something new, every few seconds."""
    shown = machine.records.counts()
    while True:
        await asyncio.sleep(_LINES_SECONDS)
        for summary in machine.records.summaries():
            if shown.get(summary.key) != summary.count:
                write(stream_line(summary))
        shown = machine.records.counts()


def command(
    files: FilesArgument,
    *,
    target: TargetOption = DEFAULT_TARGET,
    once: Annotated[bool, typer.Option("--once", help="Make the calls, check them, show the records, end.")] = False,
    opt_level: LevelOption = OptLevel.STRONG,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The frontend's port; 0: a free one.")] = 0,
    concurrency: ConcurrencyOption = 1,
    prices: PricesOption = None,
    max_message: MaxMessageOption = None,
    idle_timeout: IdleTimeoutOption = None,
) -> None:
    """Run an application with its elements on this machine, and upgrade it when a file is saved."""
    screens = open_screens()
    with told_errors(ApplicationError, ProcessorError, RolloutError):
        limits = Limits(max_message, idle_timeout)
        where = where_of(target, prices, workers=concurrency, limits=limits)
        sources = tuple(map(FileSource, files))
        settings = RunSettings(sources, Path(), Settings(opt_level), where, port)
        work = run_once(settings, screens) if once else run_until_told(settings, screens)
        good = asyncio.run(supervised(work))
    if good is None:
        screens.out.print("stopped")
        good = not once
    raise typer.Exit(0 if good else FAILURE)
