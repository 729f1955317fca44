"""What following the traffic saves: CPU per RPC before and after a re-plan, against what was predicted.

    python -m benchmarks.replan [--rounds N] [--seconds X] [--prices FILE] [--record]

An application runs as `appnetctl run` runs it, with `replan: auto` and two elements in the client's sidecar that may
swap. In every round the traffic shifts: the element behind now refuses most. A load says what CPU that costs, and once
the chain goes on by another plan, the same load says what CPU it costs then. CPU is that of both Envoys, loaded as hard
as they take it. What a plan saves is predicted by prices that are measured first, on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import Progress

from appnet.application.kinds import LOCAL
from appnet.application.model import USUAL_PROCESSOR
from appnet.cli.errors import Screens
from appnet.cli.live import follow_traffic
from appnet.compile.fit import Where
from appnet.control.replan import Better
from appnet.deploy.local.machine import LocalMachine, RunSettings
from appnet.diagnostics.source import FileSource
from appnet.measure.cores import Cores, running_on
from appnet.measure.load import LoadSettings, Request, Upstream, run_load
from appnet.measure.solve import Effort
from appnet.optimize.cost import CostModel
from appnet.optimize.prices import load_prices
from appnet.processors import registry
from appnet.processors.envoy.node import EnvoyNode
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.system.address import Address
from benchmarks import report, results
from benchmarks.cases import SAMPLE
from benchmarks.dataplane import WrongOutcomeError, message

BEFORE, AFTER, PREDICTED, SAVED = "CPU per RPC before", "CPU per RPC after", "saved, predicted", "saved, measured"
FOLLOWED = "from the shift to the new plan"

_WORDS = ("first", "second")
_SHARES = (60, 5, 35)  # in 100 calls: what one element refuses, what the other one does, and the rest
_REFUSED = (7, "refused")
_TELLING_SECONDS = 1.5  # in which chains have told what they counted
_LOOK_SECONDS = 0.02
_MOST_INTERVALS = 10
_ELEMENT = """\
state:
    word: string

init(word = ''):
    pass

req(rpc):
    body = get(rpc, 'Body')
    n = 0
{work}
    if n > 0 and body == word:
        send(err('refused', PERMISSION_DENIED), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
_WORK = {
    "signatures": [f"n = n + size(hmac(body, 'key {number}'))" for number in range(48)],
    "encryption": [f"n = n + size(encrypt(body, 'key {number}'))" for number in range(48)],
}


@dataclass
class Samples:
    """One value a round. CPU is in microseconds for an RPC."""

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    predicted: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """From the shift until the chain goes on by another plan."""

    @property
    def saved(self) -> list[float]:
        """What the re-plan saved."""
        return [before - after for before, after in zip(self.before, self.after, strict=True)]


def titles() -> dict[str, str]:
    """All cases: each kind of work on each target."""
    return {f"{work}-{target}": f"{work}, {target}" for target in (NATIVE, WASM) for work in _WORK}


def application(folder: Path, work: str, interval: float) -> Path:
    """The echo sample with two elements that do this work, which looks at its traffic once in an ``interval``; its
    configuration."""
    shutil.copytree(SAMPLE.parent, folder, ignore=shutil.ignore_patterns(LOCAL))
    config = folder / SAMPLE.name
    lines = "\n".join(f"    {it}" for it in _WORK[work])
    (folder / "element.appnet").write_text(_ELEMENT.format(work=lines))
    written = yaml.safe_load(config.read_text())
    spec = {key: it for key, it in written["spec"].items() if not key.endswith("Chain")}
    spec["clientChain"] = [{"name": it, "file": "element.appnet", "parameters": {"word": it}} for it in _WORDS]
    spec["replan"] = {"mode": "auto", "interval": f"{interval}s", "saving": "10%"}
    config.write_text(yaml.safe_dump({**written, "spec": spec}))
    return config


class Measured:
    """A running application under load, which follows its traffic. ``seconds``: of each load."""

    def __init__(self, machine: LocalMachine, seconds: float, interval: float) -> None:
        self._machine, self._controller = machine, machine.controller
        self._settings, self._interval = LoadSettings(8, 8, seconds=seconds), interval
        (self._address,) = machine.entrances.values()

    async def load(self, requests: list[Request]) -> float:
        """Microseconds of CPU for each of these calls. Raises `WrongOutcomeError` where one ended as none should."""
        proxies = [it.process for it in self._machine.nodes.values() if isinstance(it, EnvoyNode)]
        before = sum(it.cpu_nanoseconds() for it in proxies)
        result = await asyncio.to_thread(run_load, self._address.port, requests, self._settings)
        used = sum(it.cpu_nanoseconds() for it in proxies) - before
        if result.failed or set(result.by_status()) != {(0, ""), _REFUSED}:
            raise WrongOutcomeError(f"calls ended with {result.by_status()}")
        return used / result.finished / 1000

    async def shift(self, most: str, samples: Samples) -> None:
        """Has one element refuse most, which is behind."""
        least = next(it for it in _WORDS if it != most)
        words = zip((most, least, "hello"), _SHARES, strict=True)
        requests = [Request(message(word), weight=weight) for word, weight in words]
        await self._interval_begins()
        begun = time.monotonic()
        samples.before.append(await self.load(requests))
        found = await self._other_plan()
        samples.seconds.append(time.monotonic() - begun)
        samples.predicted.append(found.before - found.cost)
        samples.after.append(await self.load(requests))
        await asyncio.sleep(_TELLING_SECONDS)

    async def _interval_begins(self) -> None:
        """Waits until what came before is not looked at any more."""
        async with asyncio.timeout(_MOST_INTERVALS * self._interval):
            due = self._due()
            while self._due() == due:
                await asyncio.sleep(_LOOK_SECONDS)

    def _due(self) -> float | None:
        return self._controller.replanner.due(self._controller.running)

    async def _other_plan(self) -> Better:
        """Waits until the chain goes on by another plan, and says why."""
        version, found = self._controller.running, None
        async with asyncio.timeout(_MOST_INTERVALS * self._interval):
            while self._controller.running is version:
                found = next(iter(self._controller.replanner.suggestions(version)), found)
                await asyncio.sleep(_LOOK_SECONDS)
        if found is None:
            raise RuntimeError("the chain goes on by another plan that was not for the traffic")
        return found


async def measure(case: str, prices: CostModel, options: argparse.Namespace, tick: Callable[[str], None]) -> Samples:
    """All rounds of a case."""
    work, _, target = case.partition("-")
    cores, samples, warm_up = Cores.divide(), Samples(), Samples()
    interval = options.seconds + _TELLING_SECONDS + 1  # a load and what chains tell of it are in one interval
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replan-")))
        with running_on(cores.load):
            upstream = stack.enter_context(Upstream())
        config = application(folder / "sample", work, interval)
        servers = {"server": (Address("127.0.0.1", upstream.port),)}
        where = Where(target, prices=prices)
        settings = RunSettings((FileSource(config),), folder / "run", where=where, upstreams=servers)
        with running_on(cores.proxy):
            machine = await stack.enter_async_context(LocalMachine(settings, tick))
        with running_on(cores.load):
            quiet = Console(file=io.StringIO())
            following = asyncio.create_task(follow_traffic(machine, Screens(quiet, quiet)))
            stack.callback(following.cancel)
            it = Measured(machine, options.seconds, interval)
            for number in range(options.rounds + 1):
                tick(f"{case}: round {number}")
                await it.shift(_WORDS[1 - number % 2], samples if number else warm_up)
    return samples


async def measured_prices(tick: Callable[[str], None]) -> CostModel:
    """As `appnetctl calibrate` measures them."""
    return await registry.processor(USUAL_PROCESSOR).calibrate(Effort(), tick)


def rows(found: Mapping[str, Samples]) -> Iterator[results.Row]:
    """What came of it, as medians over the rounds, with ratios to what CPU cost before, and to what was predicted."""
    for case, it in found.items():
        yield results.Row(case, BEFORE, results.rounded(statistics.median(it.before)), "us")
        yield _compared(case, AFTER, it.after, BEFORE, it.before)
        yield results.Row(case, PREDICTED, results.rounded(statistics.median(it.predicted)), "us")
        yield _compared(case, SAVED, it.saved, PREDICTED, it.predicted)
        yield results.Row(case, FOLLOWED, results.rounded(statistics.median(it.seconds)), "s")


def _compared(case: str, metric: str, values: list[float], to: str, base: list[float]) -> results.Row:
    ratios = results.quartiles([value / by for value, by in zip(values, base, strict=True)])
    low, middle, high = map(results.rounded, ratios)
    return results.Row(case, metric, results.rounded(statistics.median(values)), "us", middle, to, low, high)


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replan", description="What following the traffic saves."
    )
    parser.add_argument("--rounds", type=int, default=8, help="shifts of the traffic, for each case")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load; two in each round")
    parser.add_argument("--prices", type=Path, help="what `appnetctl calibrate` wrote; otherwise it measures first")
    results.add_record_option(parser)
    options, console = parser.parse_args(), Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def tick(what: str) -> None:
            progress.update(task, advance=1, description=what)

        if options.prices is None:
            prices = asyncio.run(measured_prices(tick))
        else:
            prices = load_prices(FileSource(options.prices), [NATIVE, WASM])
        found = {case: asyncio.run(measure(case, prices, options, tick)) for case in titles()}
    all_rows = list(rows(found))
    console.print(report.table(all_rows, titles(), "medians over rounds; ratios to before, and to what was predicted"))
    context = {
        "rounds": options.rounds, "seconds": options.seconds, "titles": titles(), "prices": prices.measured,
    }  # fmt: skip
    file = results.save("replan", all_rows, context, record=options.record)
    after = [it for it in all_rows if it.metric == AFTER]
    report.plot(after, titles(), file.with_suffix(".svg"), "before")
    console.print(f"written: {file}, {file.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
