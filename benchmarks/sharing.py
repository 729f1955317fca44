"""Whether what four instances share is exact: a limit, and counts that are merged.

    python -m benchmarks.sharing [--calls N] [--record]

The instances are two native Envoys, one with WebAssembly, and a program with gRPC-Go (`tests.judges.linearizability`).

* Of so many calls through all of them at a time, a limit has to let exactly as many pass as it says, though connections
  are cut and the store is killed with -9: calls wait for as long as that takes.
* As many calls count themselves by the life of the instance that they pass. Meanwhile instances are killed, too. In the
  end, all have to have the same counts: of a life that goes on, all calls; of one that was killed, what it had merged.
  That is at least what another instance had seen before, at most all calls, and never changes again.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

from rich.console import Console

from appnet.language.statuses import STATUS_CODES
from appnet.measure.load import Load, LoadResult, LoadSettings, Request, run_load
from appnet.system.address import Address
from benchmarks import report, results
from benchmarks.dataplane import WrongOutcomeError
from tests.judges.linearizability.history import element_source
from tests.judges.linearizability.scene import BREAKS, INSTANCES, TROUBLES, Scene, Trouble, scene
from tests.support.proxies import PATH
from tests.support.raw_grpc import RawClient, frame, string_field

CALLS, ALLOWED, PASSED, REFUSED = "calls", "limit", "passed", "refused"
COUNTED, LOST, TIMES = "counted", "lost with their instance", "times"
LIMITED, SUMMED = "the limit", "the counts"
_TABLES = [[CALLS, ALLOWED, PASSED, REFUSED, COUNTED, LOST], [TIMES]]
_IN_FLIGHT = LoadSettings(connections=2, streams=8, seconds=1200)  # through each instance
_USUAL_SECONDS, _PATIENT_SECONDS = 0.05, 60.0  # for which a call waits for the store
_OK, _EXHAUSTED = 0, STATUS_CODES["RESOURCE_EXHAUSTED"]
_LOOK_SECONDS, _SETTLE_SECONDS = 0.05, 60.0


class InexactError(Exception):
    """A limit did not let exactly so many pass, or a count is not what it has to be."""


@dataclass
class Found:
    """What became of the calls through each instance, by its number. ``lost``: those that an instance had not merged
    when it was killed, and those that it did not answer any more."""

    allowed: int
    passed: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    counted: Counter[int] = field(default_factory=Counter)
    lost: Counter[int] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)

    @property
    def limited(self) -> int:
        """How many met the limit."""
        return self.passed.total() + self.refused.total()

    @property
    def summed(self) -> int:
        """How many were to be counted."""
        return self.counted.total() + self.lost.total()

    def rows(self) -> list[results.Row]:
        limit = {CALLS: self.limited, ALLOWED: self.allowed, PASSED: self.passed.total(), REFUSED: self.refused.total()}
        counts = {CALLS: self.summed, COUNTED: self.counted.total(), LOST: self.lost.total()}
        cases = {LIMITED: limit, SUMMED: counts}
        for number, name in enumerate(INSTANCES):
            each = {PASSED: self.passed, REFUSED: self.refused, COUNTED: self.counted, LOST: self.lost}
            cases[name] = {metric: of[number] for metric, of in each.items()}
        cases |= {trouble: {TIMES: times} for trouble, times in sorted(self.troubles.items())}
        return [results.Row(case, metric, value, "") for case, all_ in cases.items() for metric, value in all_.items()]


async def limited(calls: int, breaks: Sequence[Trouble], folder: Path, found: Found) -> None:
    """A part of the calls for each of the troubles, through all instances at a time. Raises `InexactError`."""
    places: dict[int, Address] = {}
    each = ceil(calls / len(breaks) / len(INSTANCES))
    settings = replace(_IN_FLIGHT, count=each)
    source = element_source("limit", found.allowed)
    async with scene(source, folder, places.__setitem__, timeout=_PATIENT_SECONDS) as it:
        for trouble in breaks:
            loads = [asyncio.to_thread(run_load, places[it].port, [Request(b"")], settings) for it in sorted(places)]
            done, _ = await asyncio.gather(asyncio.gather(*loads), trouble(it))
            for number, result in enumerate(done):
                found.passed[number] += _many(result, _OK)
                found.refused[number] += _many(result, _EXHAUSTED)
        found.troubles += it.troubles
    if found.limited != (made := each * len(breaks) * len(INSTANCES)):
        raise WrongOutcomeError(f"{found.limited} calls of {made} passed or were refused")
    if found.passed.total() != found.allowed:
        raise InexactError(f"{found.passed.total()} calls passed a limit of {found.allowed}")


def _many(result: LoadResult, status: int) -> int:
    return sum(it.count for it in result.outcomes if it.status == status)


class Counting:
    """Calls that count themselves by the life of the instance that they pass. ``rate``: how many calls a second begin
    through each instance; None: as many as there can be."""

    def __init__(self, at: Scene, places: Mapping[int, Address], rate: float | None) -> None:
        self._scene, self._places = at, places
        self._settings = replace(_IN_FLIGHT, rate=rate)
        self.answered: Counter[str] = Counter()  # by life
        self.unanswered: Counter[str] = Counter()
        self.ended: dict[str, int] = {}  # what lives came to that were killed
        self._seen: dict[str, int] = {}  # what others had seen of them before

    async def part(self, trouble: Trouble, count: int) -> None:
        """So many calls through each instance, with the trouble among them, until all instances have the same counts.
        Raises `InexactError`."""
        before = self._lives()
        with ExitStack() as stack:
            loads = {life: stack.enter_context(self._load(number, life, count)) for number, life in before.items()}
            while not all([await self._seen_elsewhere(it) >= count / 4 for it in loads]):
                await asyncio.sleep(_LOOK_SECONDS)
            seen = {it: await self._seen_elsewhere(it) for it in loads}
            await trouble(self._scene)
            killed = {number: life for number, life in before.items() if life != self._life(number)}
            for it in killed.values():
                loads[it].stop()
            left = {life: count - await self._ended(life, load) for life, load in loads.items()}
        for number, life in killed.items():
            self._seen[life] = seen[life]
            await self._scene.back(number)
            with self._load(number, self._life(number), left[life]) as load:
                await self._ended(self._life(number), load)
        await self._settled()

    def of(self, number: int) -> Iterator[str]:
        """The lives of an instance."""
        return (it for it in self.answered if it.startswith(f"{number}."))

    def _life(self, number: int) -> str:
        return f"{number}.{self._scene.lives[number]}"

    def _lives(self) -> dict[int, str]:
        return {it: self._life(it) for it in range(len(INSTANCES))}

    def _load(self, number: int, life: str, count: int) -> Load:
        request = Request(b"", metadata=(("x-key", life),))
        return Load(self._places[number].port, [request], replace(self._settings, count=count))

    async def _ended(self, life: str, load: Load) -> int:
        """How many calls it made that were answered, once it has ended."""
        result = await asyncio.to_thread(load.result)
        answered = _many(result, _OK)
        self.answered[life] += answered
        self.unanswered[life] += result.finished - answered
        return answered

    async def _seen_elsewhere(self, life: str) -> int:
        return await self._count((int(life.partition(".")[0]) + 1) % len(INSTANCES), life)

    async def _count(self, number: int, life: str) -> int:
        """What an instance has."""

        def look() -> int:
            with RawClient(self._places[number].port) as client:
                reply = client.call(PATH, frame(b""), [("x-do", "look"), ("x-key", life)])
            return int(reply.body[len(frame(string_field(1, b""))) :])

        return await asyncio.to_thread(look)

    async def _settled(self) -> None:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not (found := await self._looked()):
            if time.monotonic() > deadline:
                raise InexactError(f"counts do not become what they have to be: {await self._all()}; {self}")
            await asyncio.sleep(_LOOK_SECONDS)
        for life, seen in self._seen.items():
            count = self.ended.setdefault(life, found[life])
            if not seen <= count <= self.answered[life] + self.unanswered[life] or count != found[life]:
                raise InexactError(f"{life} came to {count} and then to {found[life]}; {self}")

    async def _looked(self) -> dict[str, int] | None:
        """The counts by life, once all instances have the same ones, and those that live all of their calls."""
        found = await self._all()
        if any(len(it) > 1 for it in found.values()):
            return None
        counts = {life: min(it) for life, it in found.items()}
        return counts if all(counts[it] == self.answered[it] for it in self._lives().values()) else None

    async def _all(self) -> dict[str, set[int]]:
        return {life: {await self._count(it, life) for it in range(len(INSTANCES))} for life in self.answered}

    def __str__(self) -> str:
        return f"answered: {self.answered}, not answered: {self.unanswered}, seen before kills: {self._seen}"


async def summed(
    calls: int, troubles: Sequence[Trouble], folder: Path, found: Found, rate: float | None = None
) -> None:
    """A part of the calls for each trouble. Raises `InexactError`."""
    places: dict[int, Address] = {}
    each = ceil(calls / len(troubles) / len(INSTANCES))
    async with scene(element_source("counted"), folder, places.__setitem__, timeout=_USUAL_SECONDS) as it:
        counting = Counting(it, places, rate)
        for trouble in troubles:
            await counting.part(trouble, each)
        found.troubles += it.troubles
    for number in range(len(INSTANCES)):
        for life in counting.of(number):
            made = counting.answered[life] + counting.unanswered[life]
            found.counted[number] += (count := counting.ended.get(life, made))
            found.lost[number] += made - count


async def run(calls: int) -> Found:
    """Both. Raises `InexactError`."""
    found = Found(allowed=calls * 7 // 16)  # which is reached in the middle of a part
    with tempfile.TemporaryDirectory(prefix="sharing-") as folder:
        await limited(calls, BREAKS, Path(folder, "limit"), found)
        await summed(calls, TROUBLES, Path(folder, "counts"), found)
    return found


def main() -> None:
    """Makes the calls, prints the tables, and writes the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sharing", description="Whether what is shared is exact."
    )
    parser.add_argument("--calls", type=int, default=1_000_000, help="against the limit, and as many that are counted")
    results.add_record_option(parser)
    given = parser.parse_args()
    found = asyncio.run(run(given.calls))
    console = Console()
    for metrics in _TABLES:
        rows = [it for it in found.rows() if it.metric in metrics]
        console.print(report.table(rows, {}, f"{found.limited + found.summed:,} calls"))
    context = {"calls": found.limited + found.summed, "tables": _TABLES, "titles": {}}
    console.print(f"written: {results.save('sharing', found.rows(), context, record=given.record)}")


if __name__ == "__main__":
    main()
