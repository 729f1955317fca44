"""Refusals of random programs in native modules, each run again on the interpreter: the same row, the same verdict.

python -m tests.differential.why --programs 600
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from appnet.behaviour.why import NoReplayError, replay
from appnet.diagnostics.source import TextSource
from appnet.observe.refusals import Refusal, Told
from tests.differential import fuzz
from tests.differential.compare import NATIVE, Chain, Comparison
from tests.support.traffic import make_traffic

_REASONS = ("too long to be told", "hosts have in flight", "what it let go is not known", "more than there is room for")
"""Why some cannot be run again."""


def run(chains: Sequence[Chain], calls: int, seed: int) -> Counter[str]:
    """Traffic for each chain; how many refusals agreed, and why others could not be run again. Raises AssertionError
    where one does not agree."""
    comparison = Comparison(chains, [NATIVE])
    module = comparison.modules[NATIVE.name]
    found: Counter[str] = Counter()
    for index, chain in enumerate(chains):
        comparison.run(index, make_traffic(seed + index, calls), seed + index)
        for it in module.refusals:
            found[_again(it, chain)] += 1
        module.refusals.clear()
    return found


def _again(refusal: Refusal, chain: Chain) -> str:
    number = next(n for n, it in enumerate(chain.elements) if it.name == refusal.element)
    source = TextSource(Path(f"{refusal.element}.appnet"), chain.sources[number])
    assert all(it.told is not Told.SECRET or it.name.startswith("get_") for it in refusal.reads)
    try:
        again = replay(refusal, chain.elements[number], chain.signature, None, source)
    except NoReplayError as error:
        return next((it for it in _REASONS if it in str(error)), str(error))
    assert again.agrees, f"{refusal}\ngot {again.got} in {again.row!r}, {again.case}\n{chain.sources[number]}"
    return "agreed"


def run_batch(seed: int, programs: int = fuzz.PROGRAMS_A_BATCH) -> Counter[str]:
    """Refusals of the programs of a batch, alone and together."""
    texts = fuzz.texts_of(seed)
    chosen = [*texts[:programs], *texts[fuzz.PROGRAMS_A_BATCH :]]
    return run([fuzz.make_chain(f"made{number}", it) for number, it in enumerate(chosen)], 30, seed << 16)


def main() -> None:
    """Runs so many programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    found: Counter[str] = Counter()
    for batch in range(-(-asked.programs // fuzz.PROGRAMS_A_BATCH)):
        found += run_batch(asked.seed + batch)
        sys.stdout.write(f"{dict(found)}\n")


if __name__ == "__main__":
    main()
