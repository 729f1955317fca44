"""Decides random pairs of elements, and has the interpreter judge each decision: run it as a module.

A pair that was proved is run on random sequences of RPCs, in both orders; what was refuted is run again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appnet.analysis import Counterexample, Decision, Event, Proved, Refuted, Strength, decide
from appnet.analysis.replay import Parting, replay
from appnet.analysis.runs import random_runs
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from tests.support.elements import make_program
from tests.support.sample import SAMPLE
from tests.support.traffic import make_traffic

_FEW = {field.type: path for path, field in SAMPLE.request.fields.items()}  # a field of each type


@dataclass(frozen=True)
class Judged:
    """``wrong``: where the interpreter contradicts the decision; None where it does not."""

    strength: Strength
    decision: Decision
    wrong: str | None


def judge_seed(seed: int, sequences: int) -> tuple[Judged, str]:
    """The judgement on the random pair of this seed, and the pair's programs."""
    source = random.Random(seed)
    budget = source.choice((1, 1, 2, 3, 6, 12))
    (first, one), (second, other) = (random_element(source, name, budget) for name in ("first", "second"))
    return judge(first, second, source.choice(list(Strength)), sequences, seed), f"{one}\n{other}"


def random_element(source: random.Random, name: str, budget: int) -> tuple[Element, str]:
    """An element of up to so many statements a block, with its text; it uses few fields, so that two elements meet."""
    text = make_program(source, budget)
    for path, field in SAMPLE.request.fields.items():
        text = text.replace(f"'{path}'", f"'{_FEW[field.type]}'")
    return compile_element(Path(f"{name}.appnet"), SAMPLE, source=text).element, text


def judge(first: Element, second: Element, strength: Strength, sequences: int, seed: int) -> Judged:
    """The decision about the pair, and what the interpreter says to it."""
    decision = decide(first, second, SAMPLE, strength)
    match decision:
        case Proved():
            parting = told_apart(first, second, strength, decision, sequences, seed)
            return Judged(strength, decision, str(parting) if parting is not None else None)
        case Refuted(counterexample=found):
            parting = replay(first, second, SAMPLE, strength, found)
            same = parting == Parting(len(found.events) - 1, found.as_written, found.swapped)
            return Judged(strength, decision, None if same else f"not reproduced: {parting}")
        case _:
            return Judged(strength, decision, None)


def told_apart(
    first: Element, second: Element, strength: Strength, decision: Proved, sequences: int, seed: int
) -> Parting | None:
    """Where the interpreter tells the orders apart on random runs."""
    for run in _runs(first, second, sequences, seed):
        parting = replay(first, second, SAMPLE, strength, run, same_status=not decision.status_may_differ)
        if parting is not None:
            return parting
    return None


def _runs(first: Element, second: Element, sequences: int, seed: int) -> Iterator[Counterexample]:
    third = sequences // 3
    yield from random_runs(first, second, SAMPLE, seed=seed, from_init=third, from_states=third)
    for number in range(sequences - 2 * third):
        traffic = make_traffic(seed * 1_000_003 + number, 4)
        events = []
        for step in traffic.steps:
            it = traffic.exchanges[step.exchange]
            if step.kind == "request":
                events.append(Event("request", step.exchange + 1, step.after_ns, it.request, it.metadata))
            elif step.kind == "response":
                fields = it.response, it.response_metadata
                events.append(Event("response", step.exchange + 1, step.after_ns, *fields, it.status))
        yield Counterexample(tuple(events), "", "", seed=number)


def main() -> int:
    """Prints counts, and each wrong decision with its programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--sequences", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    until = time.monotonic() + arguments.seconds
    number = 0
    while number < arguments.pairs and time.monotonic() < until:
        seed = arguments.seed + number
        judged, texts = judge_seed(seed, arguments.sequences)
        counts[f"{judged.strength.value} {type(judged.decision).__name__.lower()}"] += 1
        if judged.wrong is not None:
            counts["wrong"] += 1
            print(f"--- seed {seed}, {judged.strength.value}: {judged.decision}\n{judged.wrong}\n{texts}")
        number += 1
        if number % 500 == 0:
            print(f"{number} pairs: {dict(sorted(counts.items()))}", flush=True)
    print(f"{number} pairs, {arguments.sequences} sequences each where proved: {dict(sorted(counts.items()))}")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
