"""Decides all pairs of the standard elements, and prints them as docs/analysis.md has them: run it as a module."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from appnet.analysis import Decision, DecisionCache, Proved, Refuted, Strength, decide
from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element

SAMPLES = Path(__file__).parents[2] / "config" / "samples"
PROCESSES = 2
METHOD = load_proto(FileSource(SAMPLES / "echo" / "echo.proto")).method("echo")


def standard_elements() -> list[Element]:
    """In the order of their names."""
    return [
        compile_element(FileSource(path), METHOD).element for path in sorted((SAMPLES / "elements").glob("*.appnet"))
    ]


def sign(strong: Decision, weak: Decision) -> str:
    """How a table shows what was decided: = strong, ~ weak only, x refuted, ? unknown."""
    if isinstance(strong, Proved):
        return "="
    if isinstance(weak, Proved):
        return "~" if isinstance(strong, Refuted) else "~?"
    return "x" if isinstance(weak, Refuted) else "?"


def decide_twice(first: Element, second: Element, kept: Path | None = None) -> tuple[Decision, Decision]:
    """What is decided under strong, and under weak; ``kept``: a directory for decisions."""
    cache = DecisionCache(kept) if kept is not None else None
    strong, weak = (decide(first, second, METHOD, strength, cache=cache) for strength in Strength)
    return strong, weak


def table(elements: list[Element], kept: Path | None = None) -> tuple[str, Counter[str]]:
    """Rows for each element, against those after it; and how many decisions there are of each kind."""
    counts: Counter[str] = Counter()
    signs: dict[tuple[str, str], str] = {}
    pairs = list(itertools.combinations(elements, 2))
    with ProcessPoolExecutor(PROCESSES) as pool:
        decided = pool.map(decide_twice, *zip(*pairs, strict=True), itertools.repeat(kept), chunksize=4)
        for (first, second), both in zip(pairs, decided, strict=True):
            for strength, decision in zip(Strength, both, strict=True):
                counts[f"{strength.value} {type(decision).__name__.lower()}"] += 1
            signs[first.name, second.name] = sign(*both)
    names = [element.name for element in elements]
    lines = ["".ljust(22) + " ".join(str(number).rjust(2) for number in range(1, len(names) + 1))]
    for number, name in enumerate(names, start=1):
        cells = [signs.get((other, name), "") for other in names[: number - 1]]
        lines.append(f"{number:2} {name}".ljust(22) + " ".join(cell.rjust(2) for cell in cells))
    return "\n".join(line.rstrip() for line in lines), counts


def main() -> int:
    """Prints the table, the counts and the time it took; with a directory, decisions are kept there."""
    began, used = time.monotonic(), os.times()
    text, counts = table(standard_elements(), Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    seconds = sum(os.times()[:4]) - sum(used[:4])  # of this process, and of those that it started
    print(
        f"{text}\n\n{dict(sorted(counts.items()))}, {time.monotonic() - began:.1f} s, {seconds:.1f} s of processor time"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
