"""What a chain costs on the data plane: CPU time of Envoy per RPC, and latency, for several ways to do the same.

    python -m benchmarks.dataplane [--rounds N] [--seconds X] [--rate X] [--cases a,b] [--record]

One Envoy for each case is alive all the time; in every round each case is measured once, in shuffled order, so that
what else the machine does falls on all alike. Ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from appnet.measure.cores import Cores, running_on
from appnet.measure.load import LoadResult, LoadSettings, Request, Upstream, run_load
from appnet.measure.sink import Sink
from appnet.processors.envoy.xds.server import XdsServer
from appnet.system.address import Address
from benchmarks import report, results
from benchmarks.cases import BASELINE, KEY_HEADER, REFUSED_KEY, Case, all_cases
from benchmarks.proxies import Proxy, Rig

CPU = "CPU per RPC"
PACED_CPU = "CPU per RPC, steady rate"
P50 = "latency p50"
P99 = "latency p99"
THROUGHPUT = "throughput"

_ATTEMPTS = 5  # at a window in which something else held the machine up


@dataclass(frozen=True)
class Plan:
    """How long and how hard. ``seconds`` are spent on each case in each round on full load and again at ``rate``."""

    rounds: int = 8
    seconds: float = 3.0
    rate: float = 8000.0
    connections: int = 8
    streams: int = 8

    @property
    def full(self) -> LoadSettings:
        """As much as the proxy takes."""
        return LoadSettings(self.connections, self.streams, seconds=self.seconds)

    @property
    def paced(self) -> LoadSettings:
        """A steady rate well below that, for latencies that are not those of a queue."""
        return LoadSettings(self.connections, self.streams, seconds=self.seconds, rate=self.rate)


@dataclass
class Samples:
    """One value a round for each case and metric."""

    cpu_us: dict[str, list[float]]
    paced_cpu_us: dict[str, list[float]]
    rate: dict[str, list[float]]
    p50_us: dict[str, list[float]]
    p99_us: dict[str, list[float]]

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Samples:
        """None yet, of these cases, in their order."""
        return cls(*({case.name: [] for case in cases} for _ in fields(cls)))

    def rows(self) -> list[results.Row]:
        """All metrics of all cases."""
        return [
            *results.summarize(self.cpu_us, CPU, "us", BASELINE),
            *results.summarize(self.paced_cpu_us, PACED_CPU, "us", BASELINE),
            *results.summarize(self.p50_us, P50, "us", BASELINE),
            *results.summarize(self.p99_us, P99, "us", BASELINE),
            *results.summarize(self.rate, THROUGHPUT, "RPC/s", BASELINE),
        ]


def requests() -> list[Request]:
    """Echo messages: 99 in 100 with one of 33 keys that pass, 1 in 100 with the key that is refused."""
    keys = [f"user-{number:04}" for number in range(33)]
    passing = [Request(message(key), metadata=((KEY_HEADER, key),), weight=3) for key in keys]
    return [*passing, Request(message(REFUSED_KEY), metadata=((KEY_HEADER, REFUSED_KEY),), weight=1)]


def message(body: str) -> bytes:
    text = body.encode()
    return bytes([0x0A, len(text)]) + text


class WrongOutcomeError(Exception):
    """A proxy did not do what its case says, so its numbers would mean nothing."""


def check_outcomes(case: Case, result: LoadResult) -> None:
    """Raises ``WrongOutcomeError`` unless calls ended as the case says: about 1 in 100 for each kind of refusal."""
    counts = result.by_status()
    expected = {(0, ""), *case.refusals}
    if result.failed or set(counts) - expected:
        raise WrongOutcomeError(f"{case.title}: calls ended with {counts}")
    for refusal in case.refusals:
        share = counts.get(refusal, 0) / result.finished
        if not 0.005 < share < 0.02:
            raise WrongOutcomeError(f"{case.title}: {refusal} was the end of {share:.2%} of calls, not of 1%")


async def measure(proxy: Proxy, traffic: Sequence[Request], plan: Plan, samples: Samples) -> None:
    """One round of one case."""
    name = proxy.case.name
    full, full_us = await cost(proxy, traffic, plan.full)
    paced, paced_us = await cost(proxy, traffic, plan.paced)
    samples.cpu_us[name].append(full_us)
    samples.paced_cpu_us[name].append(paced_us)
    samples.rate[name].append(full.rate)
    samples.p50_us[name].append(paced.latency.p50 / 1000)
    samples.p99_us[name].append(paced.latency.p99 / 1000)


async def cost(proxy: Proxy, traffic: Sequence[Request], settings: LoadSettings) -> tuple[LoadResult, float]:
    """The outcome of a run and the proxy's CPU time for it, microseconds per call; outcomes are checked."""
    for _ in range(_ATTEMPTS):
        before = proxy.process.cpu_nanoseconds()
        result = await asyncio.to_thread(run_load, proxy.port, traffic, settings)
        used = proxy.process.cpu_nanoseconds() - before
        check_outcomes(proxy.case, result)
        if result.unstarted <= result.finished / 100:
            return result, used / result.finished / 1000
    raise WrongOutcomeError(f"{proxy.case.title}: the machine does not keep up with {settings.rate:.0f} RPC/s")


async def run(cases: Sequence[Case], traffic: Sequence[Request], plan: Plan, tick: Callable[[str], None]) -> Samples:
    """All rounds of all cases; ``tick`` is told what is measured next."""
    cores, samples = Cores.divide(), Samples.of(cases)
    async with AsyncExitStack() as stack:
        stack.enter_context(running_on(cores.load))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = stack.enter_context(Upstream())
        sink = await stack.enter_async_context(Sink())
        xds = await stack.enter_async_context(XdsServer())
        rig = Rig(folder, xds, sink.address, Address("127.0.0.1", upstream.port), cores)
        proxies = []
        for case in cases:
            tick(f"start {case.title}")
            proxy = await rig.start_proxy(case)
            stack.push_async_callback(proxy.process.stop)
            await asyncio.to_thread(run_load, proxy.port, traffic, LoadSettings(8, 8, seconds=min(plan.seconds, 2)))
            proxies.append(proxy)
        shuffle = random.Random(1)
        for number in range(plan.rounds):
            for proxy in shuffle.sample(proxies, len(proxies)):
                tick(f"round {number + 1}: {proxy.case.title}")
                await measure(proxy, traffic, plan, samples)
    return samples


def parser(name: str, defaults: Plan) -> argparse.ArgumentParser:
    """The options that such benchmarks share."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description="CPU and latency per RPC.")
    options.add_argument("--rounds", type=int, default=defaults.rounds)
    options.add_argument("--seconds", type=float, default=defaults.seconds, help="on each load of each case and round")
    options.add_argument("--rate", type=float, default=defaults.rate, help="RPC/s of the load that latency is taken at")
    options.add_argument("--cases", help="only these, with commas; the baseline is always among them")
    results.add_record_option(options)
    return options


def measure_all(name: str, cases: Sequence[Case], traffic: Sequence[Request], options: argparse.Namespace) -> None:
    """Measures, prints the table and writes the results as ``name``."""
    console = Console()
    plan = Plan(rounds=options.rounds, seconds=options.seconds, rate=options.rate)
    if options.cases:
        chosen = {BASELINE, *options.cases.split(",")}
        cases = [case for case in cases if case.name in chosen]
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=(plan.rounds + 1) * len(cases))
        samples = asyncio.run(
            run(cases, traffic, plan, lambda what: progress.update(task, advance=1, description=what))
        )
    rows = samples.rows()
    titles = {case.name: case.title for case in cases}
    console.print(
        report.table(rows, titles, "medians over rounds; ratio to router only in the same round, with quartiles")
    )
    context = {
        "rounds": plan.rounds, "seconds": plan.seconds, "rate": plan.rate,
        "connections": plan.connections, "streams": plan.streams,
        "titles": titles,
        "omits": {case.name: case.omits for case in cases if case.omits},
    }  # fmt: skip
    file = results.save(name, rows, context, record=options.record)
    report.plot(rows, titles, file.with_suffix(".svg"))
    console.print(f"written: {file}, {file.with_suffix('.svg')}")


if __name__ == "__main__":
    measure_all("dataplane", all_cases(), requests(), parser("dataplane", Plan()).parse_args())
