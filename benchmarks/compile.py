"""How long the chain compiler takes for applications of 10 to 10,000 edges.

    python -m benchmarks.compile [--rounds N] [--edges N,N] [--record]

Every edge has a random chain of 4 to 10 standard elements, bound to no side; chains are planned and their code is
printed. What is kept on disk, decisions about pairs of elements, is decided before; everything else starts anew for
each application. One process, one core.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import random
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from appnet.analysis import DecisionCache, Strength, decide
from appnet.application.load import BoundMethod, LoadedChain
from appnet.application.model import Chain, Edge, ElementSpec, Side, Stop
from appnet.application.proto import load_proto
from appnet.compile.fit import Where, crossing, places_of
from appnet.compile.pipeline import print_artifacts
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource
from appnet.diagnostics.yaml_reader import Located
from appnet.ir import compile_element
from appnet.optimize import Planner, Settings
from appnet.optimize.placement import OptLevel
from benchmarks import report, results

SAMPLES = Path(__file__).parent.parent / "config" / "samples"
SHORTEST, LONGEST = 4, 10
EDGES = (10, 100, 1_000, 10_000)
REPEATED = 100
TARGET = "native"
LEVEL = OptLevel.STRONG
LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Measured:
    """One application, once. ``text_bytes``: of the code that was printed, equal code counted once."""

    seconds: float
    cpu_seconds: float
    distinct: int
    text_bytes: int


class Applications:
    """Random applications over the standard elements."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._proto = load_proto(FileSource(SAMPLES / "echo" / "echo.proto"))
        method = self._proto.method("echo")
        files = sorted((SAMPLES / "elements").glob("*.appnet"))
        sources = {it.stem: FileSource(it) for it in files}
        self.bound = BoundMethod(method, {name: compile_element(it, method).element for name, it in sources.items()})
        self._method = Located("echo", Span.whole(self._proto.source))
        self._specs = {name: ElementSpec(Located(name, Span.whole(it)), it) for name, it in sources.items()}

    def make(self, edges: int, chains: int | None = None) -> list[LoadedChain]:
        """An application of so many edges, each a service that a random earlier one calls.

        ``chains``: how many different chains there are among them; by default each is drawn by itself.
        """
        pool = [self._names() for _ in range(chains if chains is not None else edges)]
        listed = pool if chains is None else [self._source.choice(pool) for _ in range(edges)]
        return [self._chain(number, names) for number, names in enumerate(listed, 1)]

    def _names(self) -> tuple[str, ...]:
        return tuple(self._source.sample(sorted(self._specs), self._source.randint(SHORTEST, LONGEST)))

    def _chain(self, number: int, names: Sequence[str]) -> LoadedChain:
        edge = Edge(f"service-{self._source.randrange(number)}", f"service-{number}", ("echo",))
        stops = tuple(Stop(self._specs[it], None, Side.CLIENT) for it in names)
        chain = Chain(edge, (self._method,), self._proto.source, stops)
        return LoadedChain(chain, (self.bound,), self._proto)


def decide_pairs(bound: BoundMethod, cache: DecisionCache, tick: Callable[[str], None]) -> None:
    """Has every decision about two standard elements in the cache."""
    strength = Strength(LEVEL.value)
    for first, second in itertools.permutations(bound.elements.values(), 2):
        tick(f"{first.name}, {second.name}")
        decide(first, second, bound.signature, strength, cache=cache)


def measure(application: Sequence[LoadedChain], cache: DecisionCache) -> Measured:
    """Plans and prints all chains, with nothing known but what is on disk."""
    gc.collect()
    began, cpu_began = time.perf_counter(), time.process_time()
    where = Where(TARGET)
    planner = Planner(Settings(LEVEL), crossing(where), cache)
    plans = [planner.plan(it, places_of(it.chain, where)) for it in application]
    code = [it.code for it in print_artifacts(application, plans)]  # held as an application's compilation holds it
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    distinct = len({tuple(it.spec.name.value for it in chain.chain.stops) for chain in application})
    text_bytes = sum(len(it.text) for it in {id(it): it for it in code}.values())
    return Measured(seconds, cpu_seconds, distinct, text_bytes)


def rows_of(samples: Mapping[str, Sequence[Measured]], edges: Mapping[str, int]) -> list[results.Row]:
    """Each application's medians over the rounds."""
    metrics: list[tuple[str, str, Callable[[Measured, int], float]]] = [
        ("time", "s", lambda it, _: it.seconds),
        ("CPU", "s", lambda it, _: it.cpu_seconds),
        ("CPU per edge", "ms", lambda it, count: it.cpu_seconds * 1e3 / count),
        ("different chains", "", lambda it, _: it.distinct),
        ("C text", "MB", lambda it, _: it.text_bytes / 1e6),
    ]
    return [
        results.Row(name, metric, results.rounded(statistics.median(value(it, count) for it in samples[name])), unit)
        for name, count in edges.items()
        for metric, unit, value in metrics
    ]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile", description="The chain compiler's time.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--edges", help="applications of so many edges, such as 10,100", default=",".join(map(str, EDGES))
    )
    results.add_record_option(parser)
    return parser.parse_args()


def main() -> None:
    """Measures, prints the table, writes the results; the exit code says whether each application took its time."""
    arguments, console = _parse(), Console()
    sizes = [int(it) for it in arguments.edges.split(",")]
    source, cache = random.Random(1), DecisionCache()
    applications = Applications(source)
    cases: dict[str, tuple[int, int | None]] = {str(it): (it, None) for it in sizes}
    cases["repeated"] = (sizes[-1], REPEATED)
    samples: dict[str, list[Measured]] = {it: [] for it in cases}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        decide_pairs(applications.bound, cache, lambda what: progress.update(task, description=what))
        for number in range(1, arguments.rounds + 1):
            for name in source.sample(sorted(cases), len(cases)):
                progress.update(task, description=f"round {number}: {cases[name][0]:,} edges")
                samples[name].append(measure(applications.make(*cases[name]), cache))
    titles = {
        name: f"{edges:,} edges" + (f", {chains} chains" if chains else "") for name, (edges, chains) in cases.items()
    }
    rows = rows_of(samples, {name: edges for name, (edges, _) in cases.items()})
    console.print(report.table(rows, titles, "applications planned and printed"))
    console.print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    context = {"rounds": arguments.rounds, "level": LEVEL.value, "target": TARGET, "titles": titles}
    file = results.save("compile", rows, context, record=arguments.record)
    points = {edges: [it.seconds for it in samples[name]] for name, (edges, chains) in cases.items() if not chains}
    report.growth(points, ("edges of the application", "seconds"), file.with_suffix(".svg"))
    console.print(f"written: {file}, {file.with_suffix('.svg')}")
    slow = [titles[name] for name, rounds in samples.items() if max(it.seconds for it in rounds) > LIMIT_SECONDS]
    if slow:
        raise SystemExit(f"took more than {LIMIT_SECONDS:.0f} s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
