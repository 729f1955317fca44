"""Whether strong state is linearizable on all processors together: long histories, which Porcupine judges.

    python -m benchmarks.histories [--histories N] [--calls N] [--go-on] [--record]

Eight clients call two native Envoys, one with WebAssembly, and a program with gRPC-Go, which share an element's state
(`tests.judges.linearizability`). Meanwhile connections are cut, and each of them and the store are killed with -9 and
come back. What has been found is written after each history, and --go-on adds more histories to that. One that is not
linearizable leaves its logs and a picture of it, and ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks import report, results
from tests.judges.linearizability.history import Verdict, built_checker, judged
from tests.judges.linearizability.scene import INSTANCES

ELEMENTS = {"limit": "a limit", "registers": "registers", "versioned": "a value with its version"}
_NAME = "histories"
HISTORIES, LINEARIZABLE, ANSWERED, UNKNOWN = "histories", "linearizable", "answered or refused", "perhaps happened"
THROUGH, TIMES = "answered or refused by it", "times"
_TABLES = [[HISTORIES, LINEARIZABLE, ANSWERED, UNKNOWN], [THROUGH], [TIMES]]
LEFT = results.RUNS / "histories"
"""Where a history that is not linearizable leaves what there is to see."""


class FlawError(Exception):
    """A history is not linearizable, or nobody could tell."""


@dataclass
class Sum:
    """What all histories of an element come to."""

    histories: int = 0
    linearizable: int = 0
    answered: int = 0
    unknown: int = 0

    def add(self, verdict: Verdict) -> None:
        self.histories += 1
        self.linearizable += verdict.result == "Ok"
        self.answered += verdict.answered + verdict.refused
        self.unknown += verdict.unknown


@dataclass
class Found:
    """What all histories come to."""

    sums: dict[str, Sum] = field(default_factory=dict)
    by: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)

    def add(self, element: str, verdict: Verdict) -> None:
        self.sums.setdefault(element, Sum()).add(verdict)
        self.by.update({name: verdict.by.get(str(number), 0) for number, name in enumerate(INSTANCES)})
        self.troubles.update(verdict.troubles)

    @property
    def histories(self) -> int:
        return sum(it.histories for it in self.sums.values())

    @property
    def calls(self) -> int:
        return sum(it.answered + it.unknown for it in self.sums.values())

    def rows(self) -> list[results.Row]:
        rows = []
        for element in (it for it in ELEMENTS if it in self.sums):
            it = self.sums[element]
            values = (it.histories, it.linearizable, it.answered, it.unknown)
            rows += [results.Row(element, metric, value, "") for metric, value in zip(_TABLES[0], values, strict=True)]
        for metric, counts in ((THROUGH, self.by), (TIMES, self.troubles)):
            rows += [results.Row(case, metric, value, "") for case, value in sorted(counts.items())]
        return rows

    @classmethod
    def saved(cls, *, record: bool) -> Found:
        """What the run before has found."""
        by_metric: dict[str, Counter[str]] = {it: Counter() for table in _TABLES for it in table}
        for row in results.load(_NAME, record=record)[0]:
            by_metric[row.metric][row.case] = int(row.value)
        elements = by_metric[HISTORIES]
        sums = {it: Sum(*(by_metric[metric][it] for metric in _TABLES[0])) for it in elements}
        return cls(sums, by_metric[THROUGH], by_metric[TIMES])

    def save(self, *, record: bool) -> Path:
        context = {"calls": self.calls, "tables": _TABLES, "titles": ELEMENTS}
        return results.save(_NAME, self.rows(), context, record=record)


async def run(found: Found, histories: int, calls: int, say: Console, *, record: bool) -> None:
    """So many histories more, of the elements by turns. Raises `FlawError`."""
    with tempfile.TemporaryDirectory(prefix="histories-") as folder:
        checker = await asyncio.to_thread(built_checker, Path(folder))
        for number in range(found.histories + 1, found.histories + histories + 1):
            element = tuple(ELEMENTS)[number % len(ELEMENTS)]
            left = LEFT / f"{element}-{number}"
            verdict = await judged(checker, element, left, calls=calls, seed=number)
            found.add(element, verdict)
            file = found.save(record=record)
            say.print(f"{number:4} {element:10} {verdict.result:8} {_line(verdict)}", soft_wrap=True)
            if verdict.result != "Ok":
                raise FlawError(f"see {left}; what was found before: {file}")
            shutil.rmtree(left)


def _line(verdict: Verdict) -> str:
    troubles = ", ".join(f"{it} {count}" for it, count in _short(verdict.troubles).items())
    calls = verdict.answered + verdict.refused
    return f"{calls:6,} answered, {verdict.unknown:5,} unknown, {verdict.seconds:5.1f} s; {troubles}"


def _short(troubles: Mapping[str, int]) -> Mapping[str, int]:
    """With all kills of processors as one."""
    kills = {it: count for it, count in troubles.items() if it.removesuffix(" killed") in INSTANCES}
    return {"processors killed": sum(kills.values())} | {it: n for it, n in troubles.items() if it not in kills}


def main() -> None:
    """Makes and judges them, prints the table, and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.histories", description="Histories of strong state.")
    parser.add_argument("--histories", type=int, default=210)
    parser.add_argument("--calls", type=int, default=10_000, help="of each history")
    parser.add_argument("--go-on", action="store_true", help="add them to what the last run has found")
    results.add_record_option(parser)
    given = parser.parse_args()
    console = Console()
    found = Found.saved(record=given.record) if given.go_on else Found()
    asyncio.run(run(found, given.histories, given.calls, console, record=given.record))
    for metrics in _TABLES:
        rows = [it for it in found.rows() if it.metric in metrics]
        console.print(report.table(rows, ELEMENTS, f"{found.calls:,} calls"))
    console.print(f"written: {found.save(record=given.record)}")


if __name__ == "__main__":
    main()
