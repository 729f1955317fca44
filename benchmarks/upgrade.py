"""Live upgrades under load: how long a save takes to hold, and what becomes of the calls meanwhile.

    python -m benchmarks.upgrade [--target native|wasm] [--edits N] [--interval X] [--record]

The echo application's sidecars run as `appnetctl run` runs them, from a copy of the sample, and are loaded as hard as
they take it. Every ``interval`` seconds the firewall is saved anew. Version n stamps what it judges: it answers a
refused key with "refused by n", writes n into the request's metadata, which the server gives back, and into the
response's. So every answer tells which version judged it, and one with two different stamps was judged by a mixture.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import Progress

from appnet.application.kinds import LOCAL
from appnet.compile.fit import Where
from appnet.control.controller import Controller
from appnet.deploy.local.machine import LocalMachine, RunSettings
from appnet.deploy.local.watch import saves
from appnet.diagnostics.source import FileSource
from appnet.measure.load import Load, LoadResult, LoadSettings, Request
from appnet.measure.load.programs import program
from appnet.processors.envoy.targets import TARGETS
from benchmarks import report, results
from benchmarks.cases import REFUSED_KEY, SAMPLE
from benchmarks.dataplane import message

REQUEST_STAMP = "x-request-version"
RESPONSE_STAMP = "x-response-version"
WANTED_CALLS = 100_000
_PRINTED = r'"address": ?"127\.0\.0\.1:([0-9]+)"'

_FIREWALL = """\
state:
	acl: Map<string, string>

init():
	set(acl, '{key}', 'No')

req(rpc):
	set_metadata(rpc, '{request_stamp}', '{version}')
	match get(acl, get(rpc, 'body')):
		Some(permission) =>
			send(err('refused by {version}'), Up)
		None =>
			send(rpc, Down)

resp(rpc):
	set_metadata(rpc, '{response_stamp}', '{version}')
	send(rpc, Up)
"""

_REFUSED = re.compile(r"refused by (\d+)")
_SETTINGS = LoadSettings(connections=4, streams=8, capture=(REQUEST_STAMP, RESPONSE_STAMP))


@dataclass(frozen=True)
class Upgrades:
    """What came of one target's run.

    ``held_ms`` has for each edit the time from its save to the last answer that an older version had judged, an upper
    bound of when the new rule held; ``seen_ms`` the time to the first answer that the new one had judged.
    """

    calls: int
    failed: int
    mixed: int
    held_ms: list[float] = field(default_factory=list)
    seen_ms: list[float] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether enough calls were made, none failed, none was judged by two versions, and all edits held in 1 s."""
        enough = self.calls >= WANTED_CALLS
        return enough and not self.failed and not self.mixed and bool(self.held_ms) and max(self.held_ms) < 1000

    def rows(self, target: str) -> list[results.Row]:
        """All of it, for the results."""
        values = [
            ("save to rule in force, median", statistics.median(self.held_ms), "ms"),
            ("save to rule in force, longest", max(self.held_ms), "ms"),
            ("save to first answer by it, median", statistics.median(self.seen_ms), "ms"),
            ("calls", self.calls, ""),
            ("failed", self.failed, ""),
            ("judged by a mixture", self.mixed, ""),
        ]
        return [results.Row(target, metric, float(f"{value:.6g}"), unit) for metric, value, unit in values]


def firewall(version: int) -> str:
    """The firewall's text as version ``version``."""
    return _FIREWALL.format(
        key=REFUSED_KEY, version=version, request_stamp=REQUEST_STAMP, response_stamp=RESPONSE_STAMP
    )


def judge(result: LoadResult, saved_ns: Sequence[int]) -> Upgrades:
    """What the outcomes say. ``saved_ns`` are when versions 1, 2, … were saved; version 0 ran before.

    An answer without any stamp failed, unless the sample's fault element, which stands before the firewall, made it.
    """
    failed, mixed = result.overflowed, 0
    first = [0] * (len(saved_ns) + 1)
    last = [0] * (len(saved_ns) + 1)
    for outcome in result.outcomes:
        refused = _REFUSED.fullmatch(outcome.message)
        if outcome.status == 10 and outcome.message == "fault_injected":
            continue
        if outcome.status == 10 and refused:
            stamps = {refused[1]}
        elif outcome.status == 0 and all(outcome.captured):
            stamps = set(outcome.captured)
        else:
            failed += outcome.count
            continue
        if len(stamps) > 1:
            mixed += outcome.count
        for version in map(int, stamps):
            first[version] = min(first[version] or outcome.first_end, outcome.first_end)
            last[version] = max(last[version], outcome.last_end)
    held = [(max(last[:number]) - saved) / 1e6 for number, saved in enumerate(saved_ns, 1)]
    seen = [(first[number] - saved) / 1e6 for number, saved in enumerate(saved_ns, 1) if first[number]]
    if len(seen) < len(saved_ns):
        raise RuntimeError(f"of {len(saved_ns)} versions only {len(seen)} ever answered")
    return Upgrades(result.finished, failed, mixed, held, seen)


def _programs() -> str:
    """An application file with a server that keeps up, and gives the request's stamp back; the load is the client."""
    server = {"command": [str(program("server")), "--echo-header", REQUEST_STAMP], "port": {"printed": _PRINTED}}
    return yaml.safe_dump({"services": {"server": server}})


async def run(target: str, edits: int, interval: float, tick: Callable[[str], None]) -> Upgrades:
    """Edits the firewall ``edits`` times, one every ``interval`` seconds."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upgrade-")))
        sample = folder / "sample"
        shutil.copytree(SAMPLE.parent, sample)
        element = sample / "firewall.appnet"
        element.write_text(firewall(0))
        settings = RunSettings((FileSource(sample / SAMPLE.name),), folder / "run", where=Where(target))
        (sample / LOCAL).write_text(_programs())
        machine = await stack.enter_async_context(LocalMachine(settings, tick))
        stop = asyncio.Event()
        upgrading = asyncio.create_task(_upgrade_on_save(machine.controller, stop))
        stack.callback(stop.set)
        (address,) = machine.entrances.values()
        requests = [Request(message("hello"), weight=9), Request(message(REFUSED_KEY))]
        load = stack.enter_context(Load(address.port, requests, _SETTINGS))
        await asyncio.sleep(interval)
        saved_ns = []
        for version in range(1, edits + 1):
            tick(f"edit {version}")
            saved_ns.append(time.monotonic_ns())
            element.write_text(firewall(version))
            await asyncio.sleep(interval)
            if upgrading.done():
                upgrading.result()
        load.stop()
        outcome = await asyncio.to_thread(load.result)
        stop.set()
        await upgrading
        return judge(outcome, saved_ns)


async def _upgrade_on_save(controller: Controller, stop: asyncio.Event) -> None:
    def files() -> list[Path]:
        return [it.path for it in controller.running.application.sources if it.path is not None]

    async for _ in saves(files, stop):
        await controller.upgrade()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upgrade", description="Live upgrades under load.")
    parser.add_argument("--target", choices=list(TARGETS), help="only this one")
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--interval", type=float, default=2.0, help="seconds from one save to the next")
    results.add_record_option(parser)
    return parser.parse_args()


def main() -> None:
    """Measures, prints the table, writes the results; the exit code says whether all was as it should be."""
    arguments, console = _parse(), Console()
    rows, right = [], True
    for target in TARGETS:
        if arguments.target not in (None, target):
            continue
        done = _shown(target, arguments, console)
        rows += done.rows(target)
        right = right and done.right
    console.print(report.table(rows, TITLES, "live upgrades at full load"))
    context = {"rounds": arguments.edits, "interval": arguments.interval, "titles": TITLES}
    console.print(f"written: {results.save('upgrade', rows, context, record=arguments.record)}")
    if not right:
        raise SystemExit("not as it should be: see the table")


def _shown(target: str, arguments: argparse.Namespace, console: Console) -> Upgrades:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        tick: Callable[[str], None] = lambda what: progress.update(task, description=what)  # noqa: E731
        return asyncio.run(run(target, arguments.edits, arguments.interval, tick))


TITLES = {"native": "native module", "wasm": "WebAssembly"}


if __name__ == "__main__":
    main()
