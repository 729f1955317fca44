"""`appnetctl run`: an application with its elements, live."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, NoReturn

import aiohttp
import typer

from appnet.application.kinds import LOCAL
from appnet.application.model import Limits
from appnet.cli.errors import FAILURE, Screens, open_screens, told_errors
from appnet.cli.files import application_sources
from appnet.cli.keys import Typing, at_terminal, obey
from appnet.cli.live import follow_traffic, show_live, show_plan, together, upgrade_on_save
from appnet.cli.options import (
    ConcurrencyOption,
    FilesArgument,
    IdleTimeoutOption,
    LevelOption,
    MaxMessageOption,
    PricesOption,
    TargetOption,
    TracesOption,
    UpstreamOption,
    upstreams_given,
)
from appnet.cli.planned import where_of
from appnet.cli.screen import Steps, show_diagnostics, tell
from appnet.cli.streams import stream_line, stream_name
from appnet.cli.supervise import supervised
from appnet.cli.tls import DashboardTokenOption, dashboard_token
from appnet.compile.fit import DEFAULT_TARGET
from appnet.deploy.local.foreseen import CallerAnswer, Foreseen
from appnet.deploy.local.machine import LocalMachine, RunSettings
from appnet.deploy.local.program import ApplicationError
from appnet.deploy.local.services import TrialCall
from appnet.deploy.local.status import StatusServer
from appnet.deploy.local.trial import HttpAnswer, Trials, get
from appnet.diagnostics.source import FileSource, base_name
from appnet.observe.shown import value_text
from appnet.optimize import Settings
from appnet.optimize.placement import OptLevel
from appnet.processors.processor import ProcessorError
from appnet.system.address import ANY_LOCAL_PORT, MAX_PORT
from appnet.system.folders import run_folder

EXAMPLES = (
    "appnetctl run app.yaml",
    "appnetctl run app.yaml --once --target wasm",
    "appnetctl run app.yaml --upstream server=127.0.0.1:50051",
)
PAGE = "local.md"


_MAX_CALLS = 20  # where chance answers so often in a row, it is no chance
_RECORDS_TIMEOUT_SECONDS = 10.0
_BATCH_SECONDS = 2.0  # in which records leave a proxy, of calls of which nobody says what they bring
_SHOWN_RECORDS = 5


async def run_once(settings: RunSettings, screens: Screens) -> bool:
    """Makes the calls of the application file, shows what they brought, and says whether all was as it should be.

    Raises `ApplicationError` where there are none, or a program or a proxy ends meanwhile.
    """
    async with _running(settings, screens) as machine:
        met = await _trial_calls(machine, screens)
        machine.check()
        if not met:
            raise ApplicationError(
                f"there are no calls to make: list some under `calls` in {LOCAL}, next to the manifest"
            )
        good = [well for well, _ in met]
        streams = frozenset[str]().union(*(it for _, it in met))
        good.append(await _show_records(machine, streams, screens))
        screens.out.print("\nall checks passed" if all(good) else "\nsome checks failed")
        return all(good)


async def run_until_told(settings: RunSettings, token: str | None, screens: Screens) -> NoReturn:
    """Stays up and brings every save to the proxies. ``token``: for the dashboard's buttons.

    Raises `ApplicationError` where a program or a proxy ends.
    """
    out = screens.out
    async with (
        _running(settings, screens) as machine,
        StatusServer(machine, ANY_LOCAL_PORT, partial(tell, out), token) as status,
    ):
        await _trial_calls(machine, screens)
        files = ", ".join(sorted({base_name(it) for it in machine.controller.running.application.sources}))
        out.print(f"\nup: {_way_in(machine)}", markup=False)
        if machine.instances and not at_terminal():
            tell(out, f"logs: {machine.settings.folder}/*.log", style="dim")
        if unstarted := ", ".join(sorted(machine.services_inside - machine.instances.keys())):
            told = "programs that run chains themselves get none from here if you start them yourself"
            tell(out, f"{unstarted}: {told}; use `appnetctl serve` for that", style="dim")
        helps = bool(machine.instances) and at_terminal()
        page, help_ = f"dashboard: http://{status.address}/; ", "Enter: help; " if helps else ""
        top = f"calls: appnetctl top --follow --status {status.address}"
        if not helps:
            tell(out, top, style="dim")
        upgraded = "proxies" if machine.has_proxies else "programs"
        tell(out, f"{page}{help_}press Ctrl-C to stop, or save any of {files} to upgrade the {upgraded}", style="dim")
        typing = Typing()
        shown, obeyed = show_live(machine, out, typing), obey(machine, typing, screens, top)
        follows = follow_traffic(machine, screens)
        await together(machine.watch(), upgrade_on_save(machine, screens), follows, shown, obeyed)


@contextlib.asynccontextmanager
async def _running(settings: RunSettings, screens: Screens) -> AsyncIterator[LocalMachine]:
    steps = Steps(screens.out)
    try:
        async with LocalMachine(settings, steps.begin) as machine:
            steps.end()
            show_diagnostics(screens.err, machine.controller.running.application.warnings)
            show_plan(machine, screens.out)
            yield machine
    finally:
        steps.abandon()


def _way_in(machine: LocalMachine) -> str:
    """How the application is called, in a few words."""
    entrances = [f"{client} calls {server} at {it}" for (client, server), it in machine.entrances.items()]
    curls = [f"curl '{machine.url(it.service.value)}{it.get}'" for it in machine.calls[:1]]
    programs = [f"{name} at {it[0].program.address}" for name, it in machine.instances.items()]
    return "\n    ".join([*(curls or programs), *entrances])


async def _trial_calls(machine: LocalMachine, screens: Screens) -> list[tuple[bool, frozenset[str]]]:
    """Makes the calls of the application file; of each, whether its answer was right, and the record streams that it
    should have added to."""
    trials = Trials(machine)
    met = []
    for call in machine.calls:
        foreseen = trials.foreseen(call)
        url = f"{machine.url(call.service.value)}{call.get}"
        one = _unforeseen_call(url, screens) if foreseen is None else _foreseen_call(url, call, foreseen, screens)
        met.append(await one)
    return met


async def _unforeseen_call(url: str, screens: Screens) -> tuple[bool, frozenset[str]]:
    page = await _shown_page(url, screens)
    return page is not None and page.http_status < HTTPStatus.BAD_REQUEST, frozenset()


async def _foreseen_call(
    url: str, call: TrialCall, foreseen: Foreseen, screens: Screens
) -> tuple[bool, frozenset[str]]:
    """Calls as a user would, again where an element answered by chance."""
    for _ in range(_MAX_CALLS):
        expected = foreseen.next(call)
        page = await _shown_page(url, screens)
        if page is None:
            return False, expected.streams
        answer = page.answer
        foreseen.answered(answer)
        if answer == expected.usual or answer in expected.alike:
            return True, expected.streams
        if answer not in expected.by_chance:
            break
        by_chance = f"an element refused this call at random: {answer.message}; calling again"
        tell(screens.out, by_chance, style="dim")
    tell(screens.err, f"failed: {_described(answer)}; expected {_described(expected.usual)}")
    return False, expected.streams


async def _shown_page(url: str, screens: Screens) -> HttpAnswer | None:
    """What the page says; None, after an error, where nobody answers."""
    screens.out.print(f"\n$ curl '{url}'", markup=False)
    try:
        page = await get(url)
    except (aiohttp.ClientError, TimeoutError) as error:
        tell(screens.err, f"failed: {url} does not respond: {error}")
        return None
    screens.out.print(page.answer.text, markup=False)
    return page


def _described(answer: CallerAnswer) -> str:
    status = f" with gRPC status {answer.status}, {answer.message!r}" if answer.status else ""
    return f"{answer.text!r}{status}"


async def _show_records(machine: LocalMachine, wanted: frozenset[str], screens: Screens) -> bool:
    """Waits for a record of each stream in ``wanted`` and shows all; says whether they came."""

    def missing() -> frozenset[str]:
        return wanted - {stream_name(it) for it in machine.telemetry.records.counts()}

    if any(it.method is None for it in machine.calls):
        await asyncio.sleep(_BATCH_SECONDS)
    deadline = time.monotonic() + _RECORDS_TIMEOUT_SECONDS
    while missing() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    screens.out.print("\nrecords:" if machine.telemetry.records.counts() else "\nno records")
    for summary in machine.telemetry.records.summaries():
        tell(screens.out, f"  {stream_line(summary)}")
        for record in machine.telemetry.records.records(*summary.key)[-_SHOWN_RECORDS:]:
            place = value_text(record.resource.get("appnet.processor"))
            tell(screens.out, f"    {value_text(record.value)}  at {place}")
    if missing():
        names = ", ".join(sorted(missing()))
        tell(screens.err, f"failed: no records of {names} within {_RECORDS_TIMEOUT_SECONDS:.0f} s")
    return not missing()


def command(
    files: FilesArgument,
    *,
    target: TargetOption = DEFAULT_TARGET,
    once: Annotated[
        bool, typer.Option("--once", help="Make the calls, check them, show the records, and exit.")
    ] = False,
    opt_level: LevelOption = OptLevel.STRONG,
    upstream: UpstreamOption = None,
    programs: Annotated[
        Path | None, typer.Option("--programs", help="The application file; default: local.yaml next to the manifest.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=MAX_PORT, help="The port on which to call the application; 0: a free port.")
    ] = 0,
    concurrency: ConcurrencyOption = 1,
    prices: PricesOption = None,
    max_message: MaxMessageOption = None,
    idle_timeout: IdleTimeoutOption = None,
    traces: TracesOption = None,
    dashboard_token_file: DashboardTokenOption = None,
) -> None:
    """Run an application with its elements on this machine, and upgrade it whenever you save a file."""
    screens = open_screens()
    with told_errors(ApplicationError, ProcessorError), run_folder() as folder:
        limits = Limits(max_message, idle_timeout, traces)
        where = where_of(target, prices, workers=concurrency, limits=limits)
        sources = application_sources("run", files)
        started = FileSource(programs) if programs is not None else None
        upstreams = upstreams_given(upstream)
        settings = RunSettings(sources, folder, Settings(opt_level), where, port, upstreams, started)
        token = dashboard_token(dashboard_token_file)
        work = run_once(settings, screens) if once else run_until_told(settings, token, screens)
        good = asyncio.run(supervised(work))
    if good is None:
        screens.out.print("stopped")
        good = not once
    raise typer.Exit(0 if good else FAILURE)
