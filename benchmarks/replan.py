"""What following the traffic saves: CPU per RPC before and after a re-plan, against what was predicted.

    python -m benchmarks.replan [--rounds N] [--seconds X] [--record]

An application runs as `appnetctl run` runs it, with two elements in the client's sidecar that may swap. In every round
the traffic shifts: the element behind now refuses most. A load says what CPU that costs; from what elements ended of it
the plan is made, as `replan: auto` makes it; the same load once more says what CPU it costs then. CPU is that of
both Envoys, loaded as hard as they take it.
"""

from __future__ import annotations

import argparse
import asyncio
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
from appnet.compile.fit import Where
from appnet.control.replan import Better
from appnet.deploy.local.machine import LocalMachine, RunSettings
from appnet.diagnostics.source import FileSource
from appnet.measure.cores import Cores, running_on
from appnet.measure.load import LoadSettings, Request, Upstream, run_load
from appnet.observe.totals_page import totals_document
from appnet.processors.envoy.node import EnvoyNode
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.system.address import Address
from benchmarks import report, results
from benchmarks.cases import SAMPLE
from benchmarks.dataplane import WrongOutcomeError, message

BEFORE, AFTER, SAVED, PREDICTED = "CPU per RPC before", "CPU per RPC after", "saved", "predicted"
RATIO = "saved of predicted"

_WORDS = ("first", "second")
_SHARES = (60, 5, 35)  # in 100 calls: what one element refuses, what the other one does, and the rest
_REFUSED = (7, "refused")
_TELLING_SECONDS = 1.5  # in which chains have told what they counted
_ELEMENT = """\
state:
    word: string

init(word = ''):
    pass

req(rpc):
    body = get(rpc, 'Body')
    found = body
{work}
    if found != '' and body == word:
        send(err('refused', PERMISSION_DENIED), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
_WORK = {
    "signatures": ["found = hmac(found, 'key')"] * 16,
    "metadata": [f"found = concat(found, get_metadata(rpc, 'x-key-{number}'))" for number in range(48)],
}


@dataclass
class Samples:
    """One value a round, in microseconds for an RPC."""

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    predicted: list[float] = field(default_factory=list)

    @property
    def saved(self) -> list[float]:
        """What the re-plan saved."""
        return [before - after for before, after in zip(self.before, self.after, strict=True)]


def titles() -> dict[str, str]:
    """All cases: each kind of work on each target."""
    return {f"{work}-{target}": f"{work}, {target}" for target in (NATIVE, WASM) for work in _WORK}


def application(folder: Path, work: str) -> Path:
    """The echo sample with two elements that do this work; its configuration."""
    shutil.copytree(SAMPLE.parent, folder, ignore=shutil.ignore_patterns(LOCAL))
    config = folder / SAMPLE.name
    lines = "\n".join(f"    {it}" for it in _WORK[work])
    (folder / "element.appnet").write_text(_ELEMENT.format(work=lines))
    written = yaml.safe_load(config.read_text())
    spec = {key: it for key, it in written["spec"].items() if not key.endswith("Chain")}
    spec["clientChain"] = [{"name": it, "file": "element.appnet", "parameters": {"word": it}} for it in _WORDS]
    spec["replan"] = {"mode": "auto", "interval": "1s", "saving": "10%"}
    config.write_text(yaml.safe_dump({**written, "spec": spec}))
    return config


class Measured:
    """A running application under load. ``seconds``: of each load."""

    def __init__(self, machine: LocalMachine, seconds: float) -> None:
        self._machine = machine
        self._settings = LoadSettings(8, 8, seconds=seconds)
        (self._address,) = machine.entrances.values()

    async def load(self, requests: list[Request]) -> float:
        """Microseconds of CPU for each of these calls. Raises `WrongOutcomeError` where one ended as none should."""
        proxies = [it.process for it in self._machine.nodes.values() if isinstance(it, EnvoyNode)]
        before = sum(it.cpu_nanoseconds() for it in proxies)
        result = await asyncio.to_thread(run_load, self._address.port, requests, self._settings)
        used = sum(it.cpu_nanoseconds() for it in proxies) - before
        if result.failed or set(result.by_status()) != {(0, ""), _REFUSED}:
            raise WrongOutcomeError(f"calls ended with {result.by_status()}")
        await asyncio.sleep(_TELLING_SECONDS)
        return used / result.finished / 1000

    def look(self) -> list[Better]:
        """What the replanner finds now."""
        controller = self._machine.controller
        counts = totals_document(self._machine.telemetry.totals)
        return controller.replanner.look(controller.running, counts, time.monotonic())

    async def shift(self, most: str, samples: Samples) -> None:
        """Has one element refuse most, which is behind."""
        least = next(it for it in _WORDS if it != most)
        words = zip((most, least, "hello"), _SHARES, strict=True)
        requests = [Request(message(word), weight=weight) for word, weight in words]
        self.look()
        samples.before.append(await self.load(requests))
        (found,) = self.look()
        samples.predicted.append(found.before - found.cost)
        if await self._machine.controller.replan([found]) is None:
            raise RuntimeError("the application does not go on by the plan")
        samples.after.append(await self.load(requests))


async def measure(case: str, options: argparse.Namespace, tick: Callable[[str], None]) -> Samples:
    """All rounds of a case."""
    work, _, target = case.partition("-")
    cores, samples, warm_up = Cores.divide(), Samples(), Samples()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replan-")))
        with running_on(cores.load):
            upstream = stack.enter_context(Upstream())
        config = application(folder / "sample", work)
        servers = {"server": (Address("127.0.0.1", upstream.port),)}
        settings = RunSettings((FileSource(config),), folder / "run", where=Where(target), upstreams=servers)
        with running_on(cores.proxy):
            machine = await stack.enter_async_context(LocalMachine(settings, tick))
        with running_on(cores.load):
            it = Measured(machine, options.seconds)
            for number in range(options.rounds + 1):
                tick(f"{case}: round {number}")
                await it.shift(_WORDS[1 - number % 2], samples if number else warm_up)
    return samples


def rows(found: Mapping[str, Samples]) -> Iterator[results.Row]:
    """What came of it, as medians over the rounds; ratios are to what CPU cost before."""
    for case, it in found.items():
        pairs = zip(it.saved, it.predicted, strict=True)
        low, middle, high = results.quartiles(
            [after / before for before, after in zip(it.before, it.after, strict=True)]
        )
        after = results.rounded(statistics.median(it.after))
        ratios = (results.rounded(middle), BEFORE, results.rounded(low), results.rounded(high))
        yield results.Row(case, BEFORE, results.rounded(statistics.median(it.before)), "us")
        yield results.Row(case, AFTER, after, "us", *ratios)
        yield results.Row(case, SAVED, results.rounded(statistics.median(it.saved)), "us")
        yield results.Row(case, PREDICTED, results.rounded(statistics.median(it.predicted)), "us")
        yield results.Row(case, RATIO, results.rounded(statistics.median(saved / by for saved, by in pairs)), "")


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replan", description="What following the traffic saves."
    )
    parser.add_argument("--rounds", type=int, default=10, help="shifts of the traffic, for each case")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load; two in each round")
    results.add_record_option(parser)
    options, console = parser.parse_args(), Console()
    found = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        for case in titles():
            found[case] = asyncio.run(
                measure(case, options, lambda what: progress.update(task, advance=1, description=what))
            )
    all_rows = list(rows(found))
    console.print(report.table(all_rows, titles(), "medians over rounds"))
    context = {"rounds": options.rounds, "seconds": options.seconds, "titles": titles()}
    console.print(f"written: {results.save('replan', all_rows, context, record=options.record)}")


if __name__ == "__main__":
    main()
