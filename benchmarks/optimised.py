"""What optimising saves: chains as written, a wasm filter for each element, against the plans of each level.

    python -m benchmarks.optimised [--rounds N] [--seconds X] [--rate X] [--plans N] [--prices FILE] [--record]

Calls go through two Envoys, the client's sidecar and the server's, which have a listener for each plan. In every round
each plan is loaded once as hard as it takes and once at a steady rate, in shuffled order. What a call takes more than
through the two Envoys without elements, in the same round, is what its processing takes. The plans of one chain from
the cheapest to the dearest, as wasm, say whether the cost model orders plans as they are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from rich.console import Console
from rich.progress import Progress

from appnet.application.model import Side
from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import FileSource
from appnet.measure.load import LoadResult, LoadSettings, run_load
from appnet.optimize.placement import OptLevel
from appnet.optimize.prices import load_prices
from appnet.processors.envoy.build import build as build_module
from appnet.processors.envoy.calibrate.rig import MeasuredChain, MeasuredProxy, Rig, rig
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.sidecar import PROCESSOR
from appnet.processors.envoy.targets import NATIVE, TARGETS, WASM
from appnet.processors.options import ChainOptions
from benchmarks import report, results
from benchmarks.plans import AT, METHOD, Application, Plan, Planner, applications
from benchmarks.signing import RUN_KEY

CPU, P50, P99 = "CPU per RPC", "latency p50", "latency p99"
ADDED_CPU, ADDED_P50 = "CPU added", "latency added, p50"
PREDICTED, MEASURED = "CPU predicted", "CPU measured"
RANKED = "rank correlation of predicted and measured CPU"
TABLES = ((CPU, ADDED_CPU, P50, P99, ADDED_P50), (PREDICTED, MEASURED), (RANKED,))

_RANKED_EDGE = "early"
_LEVELS = ((WASM, tuple(OptLevel)), (NATIVE, (OptLevel.NO, OptLevel.WEAK)))
_TITLES = {OptLevel.NO: "as written", OptLevel.STRONG: "strong", OptLevel.WEAK: "weak", OptLevel.IGNORE: "ignore"}


@dataclass(frozen=True)
class Case:
    """A plan that runs. ``paced``: latency is measured as well. ``plan`` is None for Envoys without elements."""

    name: str
    title: str
    application: Application
    target: str = NATIVE
    plan: Plan | None = None
    paced: bool = True


@dataclass
class Samples:
    """One value a round: CPU of both Envoys in microseconds for an RPC, and latencies in microseconds."""

    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def all_cases(options: argparse.Namespace) -> list[Case]:
    """Envoys alone; each chain at each level; and plans of one chain between its cheapest and its dearest."""
    model = load_prices(FileSource(options.prices), list(TARGETS)) if options.prices else PROCESSOR.prices
    cases: list[Case] = []
    for application in applications():
        name, title = application.name, application.title
        cases.append(Case(f"{name}-router", f"{title}: Envoys alone", application))
        for target, levels in _LEVELS:
            planner = Planner(application, model, target)
            for level in levels:
                label = f"{title}: {_TITLES[level]}, {target}"
                cases.append(Case(f"{name}-{target}-{level.value}", label, application, target, planner.at(level)))
        if name == _RANKED_EDGE:
            for number, plan in enumerate(Planner(application, model, WASM).spread(options.plans), 1):
                label = f"{title}: plan {number}, wasm"
                cases.append(Case(f"{name}-plan{number:02}", label, application, WASM, plan, paced=False))
    return cases


def chains(case: Case, side: Side) -> list[Sequence[int]]:
    """What the plan runs on a side: numbers of stops, by module."""
    if case.plan is None:
        return []
    arrangement = case.plan.arrangement
    here = [it for it in arrangement.order if arrangement.at[it] == AT[side]]
    return ([here] if here else []) if case.plan.fused else [[it] for it in here]


def build(cases: Sequence[Case], side: Side) -> dict[str, list[TypedExtensionConfig]]:
    """The filters of one side's proxy, by case."""
    loader = loader_library().stem.removeprefix("lib")
    options = ChainOptions("benchmark", "benchmark", "1", backend_count=1)

    def one(case: Case) -> list[TypedExtensionConfig]:
        filters: list[TypedExtensionConfig] = []
        for number, stops in enumerate(chains(case, side)):
            elements = tuple(case.application.stops[it].element for it in stops)
            module = build_module(print_chain(ChainSource("benchmark", "1", ((METHOD, elements),))), case.target)
            name = f"{case.name}-{side.value}-{number}"
            if case.target == WASM:
                filters.append(wasm_filter(name, module, options))
            else:
                filters.append(native_filter(name, module, options, loader, RUN_KEY))
        return filters

    with ThreadPoolExecutor() as pool:
        return dict(zip([it.name for it in cases], pool.map(one, cases), strict=True))


class WrongOutcomeError(Exception):
    """Calls did not end as the chain's elements have it, so the numbers would mean nothing."""


def check_outcomes(case: Case, result: LoadResult) -> None:
    """Raises `WrongOutcomeError` unless about as many calls ended in each way as should."""
    counts, ends = result.by_status(), case.application.ends if case.plan is not None else {}
    if result.failed or set(counts) - {(0, ""), *ends}:
        raise WrongOutcomeError(f"{case.title}: calls ended with {counts}")
    for end, share in ends.items():
        seen = counts.get(end, 0) / result.finished
        if abs(seen - share) > share / 2 + 4 * math.sqrt(share / result.finished):  # chance has its say
            raise WrongOutcomeError(f"{case.title}: {end} was the end of {seen:.2%} of calls, not of {share:.2%}")


async def start(around: Rig, cases: Sequence[Case]) -> tuple[MeasuredProxy, MeasuredProxy]:
    """The client's and the server's sidecar, with all cases; the first forwards each case to the second."""
    filters = {side: await asyncio.to_thread(build, cases, side) for side in Side}
    behind = {name: MeasuredChain(it, around.server) for name, it in filters[Side.SERVER].items()}
    server = await around.start("server-sidecar", behind)
    before = {name: MeasuredChain(it, server.listeners[name]) for name, it in filters[Side.CLIENT].items()}
    return await around.start("client-sidecar", before), server


async def measure(
    cases: Sequence[Case], options: argparse.Namespace, tick: Callable[[str], None]
) -> dict[str, Samples]:
    """All rounds of all cases; ``tick`` is told what is measured next."""
    samples = {it.name: Samples() for it in cases}
    full = LoadSettings(8, 8, seconds=options.seconds)
    steady = LoadSettings(8, 8, seconds=options.seconds, rate=options.rate)
    async with rig(RUN_KEY) as around:
        tick("start")
        client, server = await start(around, cases)

        async def load(case: Case, settings: LoadSettings) -> tuple[LoadResult, float]:
            processes = (client.process, server.process)
            before = sum(it.cpu_nanoseconds() for it in processes)
            port = client.listeners[case.name].port
            result = await asyncio.to_thread(run_load, port, case.application.requests, settings)
            check_outcomes(case, result)
            return result, (sum(it.cpu_nanoseconds() for it in processes) - before) / result.finished / 1000

        for case in cases:
            await load(case, LoadSettings(8, 8, seconds=0.5))
        shuffle = random.Random(1)
        for number in range(options.rounds):
            for case in shuffle.sample(list(cases), len(cases)):
                tick(f"round {number + 1}: {case.title}")
                samples[case.name].cpu.append((await load(case, full))[1])
                if case.paced:
                    latency = (await load(case, steady))[0].latency
                    samples[case.name].p50.append(latency.p50 / 1000)
                    samples[case.name].p99.append(latency.p99 / 1000)
    return samples


def rows(cases: Sequence[Case], samples: Mapping[str, Samples]) -> Iterator[results.Row]:
    """What came of it. Ratios are to the chain as written, as wasm."""
    for name in dict.fromkeys(it.application.name for it in cases):
        levels = [it.name for it in cases if it.application.name == name and it.paced]
        written = f"{name}-{WASM}-{OptLevel.NO.value}"
        for metric, added, all_values in (
            (CPU, ADDED_CPU, {it: samples[it].cpu for it in levels}),
            (P50, ADDED_P50, {it: samples[it].p50 for it in levels}),
            (P99, "", {it: samples[it].p99 for it in levels}),
        ):
            yield from results.summarize(all_values, metric, "us", written)
            if added:
                base = all_values.pop(f"{name}-router")
                less = {it: [value - by for value, by in zip(all_values[it], base, strict=True)] for it in all_values}
                yield from _added(less, added, written)
    ranked = [it for it in cases if it.plan is not None and it.application.name == _RANKED_EDGE]
    for it in ranked:
        yield results.Row(it.name, PREDICTED, results.rounded(it.plan.predicted if it.plan else 0.0), "us")
        yield results.Row(it.name, MEASURED, results.rounded(statistics.median(samples[it.name].cpu)), "us")
    for title, those in (("plans", [it for it in ranked if not it.paced]), ("everything", ranked)):
        measured = [statistics.median(samples[it.name].cpu) for it in those]
        found = spearman([it.plan.predicted if it.plan else 0.0 for it in those], measured)
        yield results.Row(title, RANKED, round(found, 3), "")


def _added(values: Mapping[str, Sequence[float]], metric: str, written: str) -> list[results.Row]:
    """With ratios where those of the chain as written mean something: noise can be more than what is added."""
    if min(values[written]) > 0:
        return results.summarize(values, metric, "us", written)
    return [results.Row(it, metric, results.rounded(statistics.median(values[it])), "us") for it in values]


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation: 1 where both have the same order, -1 where the orders are opposite."""
    return statistics.correlation(_ranks(first), _ranks(second))


def _ranks(values: Sequence[float]) -> list[float]:
    """The place of each value in ascending order; equal values share the mean of theirs."""
    return [sum(other < value for other in values) + sum(other == value for other in values) / 2 for value in values]


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimised", description="What optimising saves.")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1.0, help="on each load of each plan and round")
    parser.add_argument("--rate", type=float, default=2500.0, help="RPC/s of the load that latency is taken at")
    parser.add_argument("--plans", type=int, default=12, help="how many plans are put in order")
    parser.add_argument("--prices", type=Path, help="what `appnetctl calibrate` wrote; otherwise AppNet's own")
    results.add_record_option(parser)
    options, console = parser.parse_args(), Console()
    cases = all_cases(options)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=options.rounds * len(cases) + 1)
        samples = asyncio.run(measure(cases, options, lambda what: progress.update(task, advance=1, description=what)))
    found = list(rows(cases, samples))
    titles = {it.name: it.title for it in cases} | {
        "plans": f"{options.plans} plans, wasm",
        "everything": "these and the levels",
    }
    for metrics in TABLES:
        shown = [it for it in found if it.metric in metrics]
        console.print(report.table(shown, titles, "medians over rounds; ratio to the chain as written, as wasm"))
    context = {
        "rounds": options.rounds, "seconds": options.seconds, "rate": options.rate,
        "titles": titles, "tables": TABLES, "prices": str(options.prices or "AppNet's own"),
    }  # fmt: skip
    file = results.save("optimised", found, context, record=options.record)
    report.plot(found, titles, file.with_suffix(".svg"), "the chain as written, WebAssembly")
    console.print(f"written: {file}, {file.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
