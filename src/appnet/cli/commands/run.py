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

from appnet.application.model import Side
from appnet.cli.errors import FAILURE, Screens, open_screens, told_errors
from appnet.cli.options import PricesOption, TargetOption
from appnet.cli.planned import LevelOption, model_of
from appnet.cli.screen import Steps, show_diagnostics
from appnet.cli.streams import Rates, stream_line, stream_name, stream_table, value_text
from appnet.cli.supervise import supervised
from appnet.deploy.local.machine import LocalRunner, Rollout, RolloutError, RunSettings
from appnet.deploy.local.program import ApplicationError
from appnet.deploy.local.watch import saves
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import base_name
from appnet.optimize.explain import explain, told_changes, told_reasons
from appnet.optimize.placement import OptLevel
from appnet.processors.envoy.build import Target
from appnet.processors.envoy.proxy.process import EnvoyError
from appnet.samples.guide import ECHO_METHOD, Answer, Expectation, get

_MAX_CALLS = 20  # where chance answers so often in a row, it is no chance
_RECORDS_TIMEOUT_SECONDS = 10.0
_SHOWN_RECORDS = 5
_TABLE_SECONDS = 0.5
_LINES_SECONDS = 5.0


async def run_once(settings: RunSettings, screens: Screens) -> bool:
    """Makes the calls of the application's guide, shows what they brought, and says whether all was as it should be."""
    async with _running(settings, screens) as runner:
        expectations = _expectations(runner)
        good = [await _guide_call(runner, it, screens) for it in expectations]
        streams = frozenset[str]().union(*(it.streams for it in expectations))
        good.append(await _show_records(runner, streams, screens))
        screens.out.print("\nall as it should be" if all(good) else "\nnot as it should be")
        return all(good)


async def run_until_told(settings: RunSettings, screens: Screens) -> bool:
    """Stays up and brings every save to the proxies; ends, with False, only where a program or a proxy ends."""
    out = screens.out
    async with _running(settings, screens) as runner:
        for it in _expectations(runner):
            await _guide_call(runner, it, screens)
        files = ", ".join(sorted({base_name(it) for it in runner.running.application.sources}))
        out.print(f"\nup: curl '{runner.url}/?key=hello'", markup=False)
        out.print(f"[dim]save any of {files} to upgrade the proxies; Ctrl-C ends[/]\n")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_upgrade_on_save(runner, screens))
            showing = group.create_task(_show_live(runner, out))
            what = await runner.ended()
            watching.cancel()
            showing.cancel()
        screens.err.print(f"error: {what}", markup=False)
        return False


@contextlib.asynccontextmanager
async def _running(settings: RunSettings, screens: Screens) -> AsyncIterator[LocalRunner]:
    steps = Steps(screens.out)
    try:
        with tempfile.TemporaryDirectory(prefix="appnet-") as folder:
            async with LocalRunner(replace(settings, folder=Path(folder)), steps.begin) as runner:
                steps.end()
                show_diagnostics(screens.err, runner.running.application.warnings)
                _show_plan(runner, screens.out)
                yield runner
    finally:
        steps.abandon()


def _show_plan(runner: LocalRunner, out: Console) -> None:
    compiled = runner.running
    for side in Side:
        modules = [" + ".join(it.name.value for it in segment.elements) for segment in compiled.plan.on(side)]
        what = ", then ".join(modules) or "no element"
        for node in runner.nodes(side):
            out.print(f"  {node} runs {what}", markup=False)
    found = explain(compiled.optimized)
    out.print(
        f"  an RPC costs {found.cost:.1f} us of CPU, {found.written_cost:.1f} as written, by expectation", markup=False
    )
    for line in (*told_changes(found), *told_reasons(found)):
        out.print(f"  {line}", markup=False)
    out.print(f"[dim]  appnetctl explain {compiled.application.application.source.name} tells the RPCs that show it[/]")


def _expectations(runner: LocalRunner) -> list[Expectation]:
    compiled, application = runner.running, runner.application
    elements, method = compiled.elements(ECHO_METHOD), compiled.edge.on(ECHO_METHOD).signature
    return [application.expect(elements, method, key) for key in application.guide]


async def _guide_call(runner: LocalRunner, expected: Expectation, screens: Screens) -> bool:
    """Calls as a user would, again where an element answered by chance; says whether the answer was right."""
    for _ in range(_MAX_CALLS):
        screens.out.print(f"\n$ curl '{runner.url}/?key={expected.key}'", markup=False)
        try:
            answer = await get(runner.url, expected.key)
        except (aiohttp.ClientError, TimeoutError) as error:
            screens.err.print(f"failed: {runner.url} does not answer: {error}", markup=False)
            return False
        screens.out.print(answer.text, markup=False)
        if answer == expected.usual or answer in expected.alike:
            return True
        if answer not in expected.by_chance:
            break
        screens.out.print(f"[dim]an element refused this call by chance: {answer.message}; calling again[/]")
    screens.err.print(f"failed: {_described(answer)}; expected {_described(expected.usual)}", markup=False)
    return False


def _described(answer: Answer) -> str:
    status = f" with gRPC status {answer.status}, {answer.message!r}" if answer.status else ""
    return f"{answer.text!r}{status}"


async def _show_records(runner: LocalRunner, wanted: frozenset[str], screens: Screens) -> bool:
    """Waits for a record of each stream in ``wanted`` and shows all; says whether they came."""

    def missing() -> frozenset[str]:
        return wanted - {stream_name(it) for it in runner.records.counts()}

    deadline = time.monotonic() + _RECORDS_TIMEOUT_SECONDS
    while missing() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    screens.out.print("\nrecords:")
    for summary in runner.records.summaries():
        screens.out.print(f"  {stream_line(summary)}", markup=False)
        for record in runner.records.records(*summary.key)[-_SHOWN_RECORDS:]:
            place = value_text(record.resource.get("appnet.processor"))
            screens.out.print(f"    {value_text(record.value)}  at {place}", markup=False)
    if missing():
        names = ", ".join(sorted(missing()))
        screens.err.print(f"failed: no records of {names} within {_RECORDS_TIMEOUT_SECONDS:.0f} s", markup=False)
    return not missing()


async def _upgrade_on_save(runner: LocalRunner, screens: Screens) -> None:
    """Upgrades on every save that concerns the application."""
    broken: set[Path] = set()

    def files() -> set[Path]:
        read = (it.path for it in runner.running.application.sources)
        return {*(it for it in read if it is not None), *broken}

    async for saved in saves(files, asyncio.Event()):
        names = ", ".join(sorted(it.name for it in saved))
        try:
            rollout = await runner.upgrade()
        except DiagnosticError as error:
            broken = {it.span.source.path for it in error.diagnostics if it.span.source.path is not None}
            show_diagnostics(screens.err, error.diagnostics)
            screens.err.print(f"{names}: not taken; version {runner.running.version} runs on", markup=False)
            continue
        except RolloutError as error:
            screens.err.print(f"{names}: {error}; version {runner.running.version} runs on", markup=False)
            continue
        mended, broken = bool(broken), set()
        if rollout is not None:
            show_diagnostics(screens.err, rollout.compiled.application.warnings)
            _show_rollout(runner, rollout, names, screens.out)
        elif mended or saved & {it.resolve() for it in files()}:
            screens.out.print(f"{names}: nothing changes for the proxies", markup=False)


def _show_rollout(runner: LocalRunner, rollout: Rollout, names: str, out: Console) -> None:
    what = ", ".join(rollout.changed) or "the order of elements"
    out.print(f"{names}: version {rollout.compiled.version}, new: {what}; compiled in {_ms(rollout.compile_seconds)}")
    for node in (node for side in Side for node in runner.nodes(side)):
        seconds = rollout.accept_seconds.get(node)
        state = "unchanged" if seconds is None else f"accepted after {_ms(seconds)}"
        out.print(f"  {node} {state}", markup=False)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


async def _show_live(runner: LocalRunner, out: Console) -> None:
    if out.is_terminal:
        await _show_table(runner, out)
    else:
        await _show_lines(runner, lambda line: out.print(line, markup=False))


async def _show_table(runner: LocalRunner, out: Console) -> None:
    rates = Rates()
    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            summaries = runner.records.summaries()
            live.update(stream_table(summaries, rates.look(summaries)), refresh=True)
            await asyncio.sleep(_TABLE_SECONDS)


async def _show_lines(runner: LocalRunner, write: Callable[[str], None]) -> None:
    """A line for each stream that has something new, every few seconds."""
    shown = runner.records.counts()
    while True:
        await asyncio.sleep(_LINES_SECONDS)
        for summary in runner.records.summaries():
            if shown.get(summary.key) != summary.count:
                write(stream_line(summary))
        shown = runner.records.counts()


def command(
    file: Annotated[Path, typer.Argument(help="An AppNetConfig (.yaml).")],
    *,
    target: TargetOption = Target.NATIVE,
    once: Annotated[bool, typer.Option("--once", help="Make the calls, check them, show the records, end.")] = False,
    opt_level: LevelOption = OptLevel.STRONG,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The frontend's port; 0: a free one.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Worker threads of each Envoy.")] = 1,
    prices: PricesOption = None,
) -> None:
    """Run an application with its elements on this machine, and upgrade it when a file is saved."""
    screens = open_screens()
    with told_errors(ApplicationError, EnvoyError, RolloutError):
        settings = RunSettings(file, Path(), target, opt_level, concurrency, port, model_of(prices))
        work = run_once(settings, screens) if once else run_until_told(settings, screens)
        good = asyncio.run(supervised(work))
    if good is None:
        screens.out.print("stopped")
        good = not once
    raise typer.Exit(0 if good else FAILURE)
