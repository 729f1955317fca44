"""Whether counts are exact: what processors told of a million calls, beside what the load generator saw.

    python -m benchmarks.counts [--target native|wasm] [--calls N] [--record]

Calls pass two sidecars, a waypoint and a program with gRPC-Go (`benchmarks.journey`), which count them. Meanwhile all
elements are upgraded over and over, and each of the four processors is killed with -9 once and started again. A count
must be that of the load generator, but for two things:

* A processor that is killed takes with it what it counted since its last post. The run notes when that was, and how
  many calls began since then or were in flight: no count may lack more.
* What became of a call that nobody answered is not known: it reached the processors before the one that was killed, and
  may have reached those behind it. Counts of these may have so many more.

Where nothing was killed, nothing may differ.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appnet.measure.load import Load, LoadSettings
from appnet.observe.points import CALLS, IN_FLIGHT
from appnet.processors.envoy.targets import TARGETS
from benchmarks import report, results
from benchmarks.journey import STOPS, Journey, Stop, journey, requests
from benchmarks.tally import Line, Posts, Seen, Untold, counted, expected, lines

PARTS: Sequence[Stop | None] = tuple(it for stop in STOPS for it in (None, stop))
"""Who is killed in each part of a run."""

_TARGETS = {"native": "native", "wasm": "WebAssembly"}
TITLES = {
    f"{target} {stop.name}": f"{stop.title}, {title}" if stop.is_proxy else f"{stop.title} behind them"
    for target, title in _TARGETS.items()
    for stop in STOPS
}
_CONNECTIONS, _STREAMS = 4, 8
_LOOK_SECONDS, _SETTLE_SECONDS = 0.02, 40.0
_QUIET_SECONDS = 2.5  # where a kill may explain what is not there yet
_EVICTIONS_LATE_NS = 5 * 10**8  # they come to the counts with the records, which are looked at more often


@dataclass(frozen=True)
class Killed:
    """Who was killed. ``silent``: seconds since its last post; ``untold``: what it had not told of."""

    stop: Stop
    silent: float
    untold: Untold


@dataclass
class Found:
    """What came of a run: of each of its parts, all counters. ``calls``: those of the load generator."""

    calls: int = 0
    lines: list[list[Line]] = field(default_factory=list)
    kills: list[Killed] = field(default_factory=list)

    @property
    def wrong(self) -> list[Line]:
        """Counters that differ by more than they may."""
        return [it for part in self.lines for it in part if not it.right]


class Entered:
    """How many calls the first proxy has begun, as Envoy itself counts, and when that was so."""

    def __init__(self, way: Journey) -> None:
        self._way = way
        self._looks = [(0, 0)]
        self._before = 0  # in its earlier lives, at least

    async def look(self) -> int:
        """How many there are now."""
        count = self._before + await self._way.entered()
        self._looks.append((time.time_ns(), count))
        return count

    async def of_this_life(self) -> int:
        """How many there are since it was started last."""
        return await self._way.entered()

    def at(self, ns: int) -> int:
        """How many there were at this time, at least."""
        return max(count for when, count in self._looks if when <= ns)

    def begin_anew(self) -> None:
        """The proxy was killed."""
        self._before = self._looks[-1][1]

    async def until(self, wanted: int) -> None:
        """Returns once there are so many."""
        while await self.look() < wanted:
            await asyncio.sleep(_LOOK_SECONDS)


@dataclass(frozen=True)
class _Kill:
    """When it was, and how many calls had begun right after it; None where that cannot be asked any more."""

    stop: Stop
    at_ns: int
    entered: int | None


class Run:
    """A run on a journey. ``calls``: of each part, at least, at this ``rate`` or as fast as they go."""

    def __init__(self, way: Journey, calls: int, rate: float | None = None) -> None:
        self.found = Found()
        self._way, self._calls = way, calls
        self._settings = LoadSettings(_CONNECTIONS, _STREAMS, seconds=3600.0, rate=rate, bodies=True)
        self._entered, self._posts = Entered(way), Posts()
        way.machine.telemetry.receiver.count(self._posts)
        self._born = dict.fromkeys(STOPS, 0)  # when each was started last, in nanoseconds since the epoch

    async def part(self, victim: Stop | None) -> None:
        """Calls; an upgrade meanwhile; before that, the ``victim`` is killed and started again."""
        before, start = counted(self._way.machine.telemetry.totals), await self._entered.look()
        kill = None
        with Load(self._way.port, requests(), self._settings) as load:
            await self._entered.until(start + self._calls // 3)
            if victim is not None:
                kill = await self._kill(victim)
            await self._entered.until(start + 2 * self._calls // 3)
            await self._way.upgrade()
            upgraded = await self._entered.look()
            await self._entered.until(
                max(start, upgraded - 2 * self._calls // 3) + self._calls
            )  # new versions are called
            load.stop()
            result = await asyncio.to_thread(load.result)
        ended_ns = time.time_ns() - (time.monotonic_ns() - max(it.last_end for it in result.outcomes))
        self.found.calls += result.finished
        killed = None
        if kill is not None:
            upto = kill.entered
            if upto is None:
                upto = start + result.finished - await self._entered.of_this_life()
            killed = self._lost(kill, upto)
            self.found.kills.append(killed)
        await self._settled(Seen.of(result, victim), before, killed, ended_ns)

    async def _kill(self, victim: Stop) -> _Kill:
        is_first = victim is STOPS[0]
        at = time.time_ns()
        await self._way.kill(victim)
        entered = None if is_first else await self._entered.look()
        if is_first:
            self._entered.begin_anew()
        self._born[victim] = time.time_ns()
        await self._way.start(victim)
        return _Kill(victim, at, entered)

    def _lost(self, kill: _Kill, entered: int) -> Killed:
        told = self._posts.last(kill.stop.node, before_ns=kill.at_ns)
        calls, evictions = (
            entered - self._entered.at(ns) + _CONNECTIONS * _STREAMS for ns in (told, told - _EVICTIONS_LATE_NS)
        )
        return Killed(kill.stop, (kill.at_ns - told) / 1e9, Untold(calls, evictions))

    async def _settled(
        self, seen: Seen, before: Mapping[tuple[str, str], int], killed: Killed | None, ended_ns: int
    ) -> None:
        """Notes the lines of a part, once all that it did has been told; or as they are after some time."""
        deadline, found = time.monotonic() + _SETTLE_SECONDS, list[Line]()
        changed = time.monotonic()
        while time.monotonic() < deadline:
            last, found = found, list(self._lines(seen, before, killed))
            changed = time.monotonic() if found != last else changed
            told = all(self._posts.last(it.node, self._born[it]) >= ended_ns for it in STOPS)
            quiet = told and time.monotonic() > changed + _QUIET_SECONDS
            if (killed is None or quiet) and all(it.right for it in found):
                break
            await asyncio.sleep(0.1)
        self.found.lines.append(found)

    def _lines(self, seen: Seen, before: Mapping[tuple[str, str], int], killed: Killed | None) -> Iterator[Line]:
        now, first = counted(self._way.machine.telemetry.totals), not self.found.lines
        for stop in STOPS:
            here = {name: now[node, name] - before.get((node, name), 0) for node, name in now if node == stop.node}
            lives = first + (stop is seen.killed)
            wanted = expected(seen, stop, begun=1 + lives, lives=lives)
            yield from lines(seen, stop, here, wanted, killed.untold if killed and killed.stop is stop else Untold())
            yield Line(stop, IN_FLIGHT, self._posts.flying(stop.node, self._born[stop]), 0)


async def run(
    target: str,
    calls: int,
    tick: Callable[[str], None],
    parts: Sequence[Stop | None] = PARTS,
    rate: float | None = None,
) -> Found:
    """At least so many ``calls``, while processors are upgraded, and killed as ``parts`` say."""
    with tempfile.TemporaryDirectory(prefix="counts-") as folder:
        tick("starting")
        async with journey(Path(folder), target) as way:
            it = Run(way, -(-calls // len(parts)), rate)
            for number, victim in enumerate(parts, 1):
                what = "upgraded" if victim is None else f"the {victim.title} is killed"
                tick(f"part {number} of {len(parts)}: {what}")
                await it.part(victim)
            return it.found


def rows(target: str, found: Found) -> list[results.Row]:
    """A row for each processor: its calls, and what counts differ by. Of all counters, where nothing was killed; of
    calls, where it was killed itself."""
    made = []
    for stop in STOPS:
        here = [it for part in found.lines for it in part if it.stop is stop]
        calls = [it for it in here if it.counter == CALLS]
        (kill,) = (it for it in found.kills if it.stop is stop)
        values = [
            ("counters", len({it.counter for it in here}), ""),
            ("calls of the load generator", sum(it.expected for it in calls), ""),
            ("counted", sum(it.counted for it in calls), ""),
            ("differences without kills", sum(abs(it.difference) for it in here if not it.more and not it.less), ""),
            ("gone with its kill", -sum(it.difference for it in calls if it.less), ""),
            ("at most", kill.untold.calls, ""),
            ("last post before", kill.silent, "s"),
            ("perhaps reached it", sum(it.more for it in calls), ""),
            ("wrong counts", sum(not it.right for it in here), ""),
        ]
        made += [results.Row(f"{target} {stop.name}", metric, float(f"{it:.7g}"), unit) for metric, it, unit in values]
    return made


def details(target: str, found: Found) -> Table:
    """Every counter, over all parts of a run."""
    out = Table(
        title=f"{_TARGETS[target]}: {found.calls:,} calls, {len(found.lines)} upgrades, {len(found.kills)} kills"
    )
    for name in ("processor", "counter"):
        out.add_column(name)
    for name in ("expected", "counted", "difference", "may be more", "may be less", "wrong parts"):
        out.add_column(name, justify="right")
    together: dict[tuple[Stop, str], list[Line]] = {}
    for it in (it for part in found.lines for it in part):
        together.setdefault((it.stop, it.counter), []).append(it)
    for (stop, counter), several in together.items():
        names = ("expected", "counted", "difference", "more", "less")
        sums = [sum(getattr(it, name) for it in several) for name in names]
        out.add_row(stop.title, counter, *(f"{it:,}" for it in (*sums, sum(not it.right for it in several))))
    return out


def main() -> None:
    """Runs, prints the tables and writes the results; the exit code says whether all counts were as they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=list(TARGETS), help="only this one")
    parser.add_argument("--calls", type=int, default=1_000_000, help="on each target, at least")
    results.add_record_option(parser)
    given, console = parser.parse_args(), Console()
    found = {it: _shown(it, given.calls, console) for it in TARGETS if given.target in {None, it}}
    every = [row for target, it in found.items() for row in rows(target, it)]
    console.print(report.table(every, TITLES, "what processors counted"))
    context = {"rounds": 1, "calls": sum(it.calls for it in found.values()), "titles": TITLES}
    console.print(f"written: {results.save('counts', every, context, record=given.record)}")
    if wrong := sum(len(it.wrong) for it in found.values()):
        raise SystemExit(f"{wrong} counts are wrong: see the tables")


def _shown(target: str, calls: int, console: Console) -> Found:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        found = asyncio.run(run(target, calls, lambda it: progress.update(task, description=it)))
    console.print(details(target, found))
    return found


if __name__ == "__main__":
    main()
