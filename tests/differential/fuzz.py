"""Written and random programs on random traffic, in batches; what disagrees is shrunk and kept.

    python -m tests.differential.fuzz [--programs N] [--seed S] [--jobs N] [--sanitized | --go]

A batch is one module of many chains, because a compiler run costs more than the traffic of one program. A batch that
disagrees is taken apart: the chain that does it, then the fewest elements and lines of it that still do. That program
is written to ``regressions/``, where the tests find it.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from appnet.diagnostics.diagnostic import DiagnosticError, InternalError
from tests.differential import sanitized
from tests.differential.compare import TARGETS, Chain, Comparison, Subject, make_chain
from tests.differential.library import GO
from tests.differential.streams import run_streams
from tests.support.elements import lower_capacity, make_program
from tests.support.traffic import make_traffic

PROGRAMS_A_BATCH = 60
CALLS_A_PROGRAM = 51  # 50 are asked for, and rounds are three
ROUNDS = 3
WRITTEN = Path(__file__).parent / "programs"  # of the same constructs as the public echo and key-value elements
SAMPLES = Path(__file__).parents[2] / "config/samples/echo"
REGRESSIONS = Path(__file__).parent / "regressions"
BETWEEN_ELEMENTS = "\n# --- next element ---\n"
_WATCHED = ("seen_headers", "late_refusal", "narrowing", "error_path")
_BATCHES_BETWEEN_STREAMS = 10
_BLOCK = 4  # lines: as many belong together most often, such as a branch and what is in it
_DISAGREEMENT = (AssertionError, InternalError)


def run_all(chains: Sequence[Chain], calls: int, first_seed: int = 0, *, subjects: Sequence[Subject] = TARGETS) -> int:
    """Traffic for every chain on every subject, in several rounds, so that chains take turns; how many requests."""
    comparison = Comparison(chains, subjects)
    requests = 0
    for round_ in range(ROUNDS):
        for index in range(len(chains)):
            seed = first_seed + round_ * 1000 + index
            requests += comparison.run(index, make_traffic(seed, calls // ROUNDS, whole=round_ > 0), seed)
        comparison.check_state()
    return requests


def written_chains() -> list[Chain]:
    """The written programs and the samples, alone and in chains."""
    # The samples' field `body` is `text` here.
    texts = [path.read_text() for path in sorted(WRITTEN.glob("*.appnet"))]
    texts += [
        re.sub("'body'", "'text'", path.read_text(), flags=re.IGNORECASE) for path in sorted(SAMPLES.glob("*.appnet"))
    ]
    source = random.Random(1)
    alone = [make_chain(f"alone{number}", [text]) for number, text in enumerate(texts)]
    together = [make_chain(f"chain{number}", source.sample(texts, source.randint(2, 5))) for number in range(12)]
    watched = [WRITTEN.joinpath(f"{name}.appnet").read_text() for name in _WATCHED]
    log = WRITTEN.joinpath("log.appnet").read_text()
    return [*alone, *together, make_chain("watched", watched), make_chain("guarded", [log, *watched[::-1]])]


def texts_of(seed: int) -> list[list[str]]:
    """The chains of a batch: each program alone, and some of them together."""
    source = random.Random(seed)
    texts = [make_program(source, whole=number % 2 == 1) for number in range(PROGRAMS_A_BATCH)]
    texts = [lower_capacity(source, it) for it in texts]
    together = [texts[start : start + 3] for start in range(0, PROGRAMS_A_BATCH, 6)]
    return [*([text] for text in texts), *together]


def run_replies(seed: int, subjects: Sequence[Subject] = TARGETS) -> int:
    """Compares programs that reply, alone and behind others; how many requests there were."""
    source = random.Random(seed)
    texts = [make_program(source, replies=True) for _ in range(PROGRAMS_A_BATCH)]
    together = [texts[start : start + 3] for start in range(0, PROGRAMS_A_BATCH, 6)]
    chains = [make_chain(f"made{number}", it) for number, it in enumerate([*([it] for it in texts), *together])]
    return run_all(chains, CALLS_A_PROGRAM, seed << 16, subjects=subjects)


def texts_of_streams(seed: int) -> list[list[str]]:
    """Chains for streams."""
    source = random.Random(~seed)
    texts = [make_program(source, whole=number % 2 == 1) for number in range(PROGRAMS_A_BATCH)]
    return [*([text] for text in texts), *(texts[start : start + 3] for start in range(0, PROGRAMS_A_BATCH, 6))]


def run_batch(seed: int, subjects: Sequence[Subject] = TARGETS) -> int:
    """Compares one batch; how many requests there were. Raises AssertionError where targets disagree."""
    chains = [make_chain(f"made{number}", texts) for number, texts in enumerate(texts_of(seed))]
    return run_all(chains, CALLS_A_PROGRAM, seed << 16, subjects=subjects)


def disagrees(
    texts: Sequence[str],
    seed: int = 0,
    calls: int = 4 * CALLS_A_PROGRAM,
    subjects: Sequence[Subject] = TARGETS,
) -> bool:
    """Whether the chain of these programs, alone in its module, is told apart."""
    try:
        chain = make_chain("again", texts)
    except DiagnosticError:
        return False
    try:
        run_all([chain], calls, seed, subjects=subjects)
    except _DISAGREEMENT:
        return True
    return False


def culprit(seed: int, subjects: Sequence[Subject]) -> tuple[list[str], Callable[[Sequence[str]], bool]]:
    """The chain of the batch that disagrees also when it is alone, and the question that shows it."""
    for number, texts in enumerate(texts_of(seed)):
        for first_seed in (0, (seed << 16) + number):

            def question(candidate: Sequence[str], first_seed: int = first_seed) -> bool:
                return disagrees(candidate, first_seed, subjects=subjects)

            if question(texts):
                return texts, question
    raise LookupError(f"batch {seed} disagrees, but none of its chains does alone")


def shrink(texts: Sequence[str], question: Callable[[Sequence[str]], bool]) -> list[str]:
    """The fewest elements, then lines, for which the answer stays yes; each step takes out half as much."""
    kept = list(texts)
    for index in range(len(kept) - 1, -1, -1):
        if len(kept) > 1 and question(kept[:index] + kept[index + 1 :]):
            del kept[index]
    for index, text in enumerate(kept):
        lines = text.splitlines(keepends=True)
        size = len(lines) // 2
        while size:
            start = 0
            while start < len(lines):
                fewer = lines[:start] + lines[start + size :]
                if question([*kept[:index], "".join(fewer), *kept[index + 1 :]]):
                    lines = fewer
                else:
                    start += size if size > _BLOCK else 1
            size //= 2
        kept[index] = "".join(lines)
    return kept


def keep(texts: Sequence[str], name: str) -> Path:
    """Writes the chain where the tests find it."""
    REGRESSIONS.mkdir(exist_ok=True)
    file = REGRESSIONS / f"{name}.appnet"
    file.write_text(BETWEEN_ELEMENTS.join(texts))
    return file


_SUBJECTS = {"": TARGETS, "sanitized": sanitized.TARGETS, "go": (GO,)}


def judge(seed: int, *, where: str) -> tuple[int, str]:
    """One batch, every tenth with streams and replies; how many requests there were, and what disagreed, kept.

    ``where``: among `_SUBJECTS`.
    """
    subjects = _SUBJECTS[where]
    try:
        requests = run_batch(seed, subjects)
        if seed % _BATCHES_BETWEEN_STREAMS == 0:
            requests += sum(run_streams(texts_of_streams(seed), 8, subject, seed)[0] for subject in subjects)
            requests += run_replies(seed, subjects)
    except _DISAGREEMENT as found:
        told = f"batch {seed}: {str(found).splitlines()[0] if str(found) else found!r}"
        try:
            texts, question = culprit(seed, subjects)
        except LookupError as lost:
            return 0, f"{told}\n{lost}"
        return 0, f"{told}\nkept as {keep(shrink(texts, question), f'seed_{seed}')}"
    return requests, ""


def main() -> int:
    arguments = argparse.ArgumentParser(description="random programs on every target")
    arguments.add_argument("--programs", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=time.time_ns() >> 20)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count(), help="batches at the same time")
    arguments.add_argument(
        "--sanitized", action="store_true", help="native code under address and undefined-behaviour sanitizers"
    )
    arguments.add_argument("--go", action="store_true", help="the Go module")
    given = arguments.parse_args()
    where = "sanitized" if given.sanitized else "go" if given.go else ""
    if given.sanitized:
        sanitized.enter(sys.argv)
    started, failed = time.monotonic(), 0
    requests = run_all(written_chains(), CALLS_A_PROGRAM, subjects=_SUBJECTS[where])
    batches = -(-given.programs // PROGRAMS_A_BATCH)
    seeds = range(given.seed, given.seed + batches)
    # Not forked: wasmtime's threads would be missing.
    with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
        judged = pool.map(partial(judge, where=where), seeds)
        for number, (more, told) in enumerate(judged, start=1):
            requests += more
            if told:
                failed += 1
                print(told, flush=True)
            if number % 20 == 0 or number == batches:
                took = time.monotonic() - started
                print(
                    f"{number * PROGRAMS_A_BATCH:,} programs, {requests:,} RPCs, {failed} failures, {took:.0f} s",
                    flush=True,
                )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
