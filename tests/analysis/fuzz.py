"""Decides pairs of elements, and has the interpreter judge each decision: run it as a module.

The pairs are random ones, or all pairs of the standard elements. A pair that was proved is run on random sequences of
RPCs, in both orders; what was refuted is run again.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from appnet.analysis import Counterexample, Decision, Event, Proved, Refuted, Strength, decide
from appnet.analysis.replay import Parting, replay
from appnet.diagnostics.source import TextSource
from appnet.interpret.values import Value
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import Type
from tests.analysis.standard import METHOD, standard_elements
from tests.analysis.support import random_runs
from tests.support.elements import make_program, with_capacity
from tests.support.sample import SAMPLE
from tests.support.traffic import make_traffic

_STREAMING = replace(SAMPLE, client_streaming=True, server_streaming=True)


def _kind(field: Field) -> tuple[Type, bool, bool, bool]:
    return (field.type, field.is_message, bool(field.within), field.presence)


_ALIKE = {
    _kind(it): it.path
    for it in sorted(SAMPLE.request.all_fields(), key=lambda it: (it.within == "items", it.oneofs == ("means",)))
}
"""A field of each kind: where there are such, of one that stands in the items, or is a member of the oneof."""


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
    method = _STREAMING if seed % 5 == 0 else SAMPLE
    (first, one), (second, other) = (random_element(source, name, budget, method) for name in ("first", "second"))
    first, second = (_lowered(it, random.Random(f"{it.name} {seed}")) for it in (first, second))
    strength = source.choice(list(Strength))
    decision = decide(first, second, method, strength)
    own = 2 * sequences // 3
    runs = itertools.chain(_runs(first, second, method, own, seed), _traffic(sequences - own, seed))
    return judge(first, second, method, strength, decision, runs), f"{one}\n{other}"


def judge_standard(first: Element, second: Element, sequences: int) -> list[tuple[Judged, str]]:
    """The judgements on a pair of standard elements."""
    judged = []
    for strength in Strength:
        decision = decide(first, second, METHOD, strength)
        runs = _runs(first, second, METHOD, sequences, seed=1)
        judged.append((judge(first, second, METHOD, strength, decision, runs), f"{first.name}, {second.name}"))
    return judged


def random_element(
    source: random.Random, name: str, budget: int, method: MethodSignature = SAMPLE
) -> tuple[Element, str]:
    """An element of up to so many statements a block, with its text; it uses few fields, so that two elements meet."""
    replies = source.random() < 0.5 and not method.server_streaming
    text = make_program(source, budget, replies=replies, whole=source.random() < 0.3)
    for it in SAMPLE.request.all_fields():
        text = text.replace(f"'{it.path}'", f"'{_ALIKE[_kind(it)]}'")
    return compile_element(TextSource(Path(f"{name}.appnet"), text), method).element, text


def _lowered(element: Element, source: random.Random) -> Element:
    """The element, sometimes with containers that hold few entries."""
    capacity = source.choice((None, None, 1, 2, 3, 4))
    return element if capacity is None else with_capacity(element, capacity)


def judge(
    first: Element,
    second: Element,
    method: MethodSignature,
    strength: Strength,
    decision: Decision,
    runs: Iterable[Counterexample],
) -> Judged:
    """What the interpreter says to the decision about the pair: where that is a proof, on these runs."""
    wrong = None
    match decision:
        case Proved(status_may_differ=differs):
            partings = (replay(first, second, method, strength, run, same_status=not differs) for run in runs)
            wrong = next((str(it) for it in partings if it is not None), None)
        case Refuted(counterexample=found):
            parting = replay(first, second, method, strength, found)
            same = parting == Parting(len(found.events) - 1, found.as_written, found.swapped)
            wrong = None if same else f"not reproduced: {parting}"
    return Judged(strength, decision, wrong)


def _runs(first: Element, second: Element, method: MethodSignature, count: int, seed: int) -> Iterator[Counterexample]:
    """So many runs of what the elements care about."""
    return random_runs(first, second, method, seed=seed, from_init=count // 2, from_states=count - count // 2)


def _traffic(count: int, seed: int) -> Iterator[Counterexample]:
    """So many runs that do not look at the elements."""
    for number in range(count):
        traffic = make_traffic(seed * 1_000_003 + number, 4)
        events = []
        for step in traffic.steps:
            it = traffic.exchanges[step.exchange]
            if step.kind == "request":
                fields = _without_rivals(SAMPLE.request, it.request)
                events.append(Event("request", step.exchange + 1, step.after_ns, fields, it.metadata))
            elif step.kind == "response":
                fields = _without_rivals(SAMPLE.response, it.response)
                events.append(
                    Event("response", step.exchange + 1, step.after_ns, fields, it.response_metadata, it.status)
                )
        yield Counterexample(tuple(events), "", "", seed=number)


def _without_rivals(schema: MessageSchema, fields: Mapping[str, Value]) -> dict[str, Value]:
    """What is left where a message has several members of a oneof: the last one."""
    left: dict[str, Value] = {}
    for path, value in fields.items():
        one = schema.field(path)
        left = {it: kept for it, kept in left.items() if not schema.field(it).is_rival(one)} | {path: value}
    return left


def _judgements(arguments: argparse.Namespace, pool: Executor) -> Iterator[tuple[str, Judged, str]]:
    """The name of each pair, with its judgement and its programs."""
    sequences = itertools.repeat(arguments.sequences)
    if arguments.standard:
        pairs = zip(*itertools.combinations(standard_elements(), 2), strict=True)
        for both in pool.map(judge_standard, *pairs, sequences):
            yield from (("standard", judged, texts) for judged, texts in both)
    else:
        seeds = range(arguments.seed, arguments.seed + arguments.pairs)
        judged = pool.map(judge_seed, seeds, sequences, chunksize=10)
        yield from ((f"seed {seed}", *it) for seed, it in zip(seeds, judged, strict=True))


def main() -> int:
    """Prints counts, and each wrong decision with its programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--standard", action="store_true", help="all pairs of the standard elements, not random ones")
    parser.add_argument("--pairs", type=int, default=10_000, help="random pairs")
    parser.add_argument("--sequences", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    wrong = 0
    with ProcessPoolExecutor(arguments.processes) as pool:
        for number, (name, judged, texts) in enumerate(_judgements(arguments, pool), start=1):
            counts[f"{judged.strength.value} {type(judged.decision).__name__.lower()}"] += 1
            if judged.wrong is not None:
                wrong += 1
                print(f"--- {name}, {judged.strength.value}: {judged.decision}\n{judged.wrong}\n{texts}", flush=True)
            if number % 500 == 0:
                print(f"{number} decisions, {wrong} wrong: {dict(sorted(counts.items()))}", flush=True)
    print(f"{counts.total()} decisions, {arguments.sequences} sequences each where proved, {wrong} wrong:")
    print(dict(sorted(counts.items())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
