"""Plans random chains over both sides of the wire, and has the interpreter tell them from the chains as written.

Each chain has three to five elements, on calls of one message each way or on streams. Of its plans that move an element
to the other side some are drawn, and run in random worlds: one to three instances a side, and a wire that takes time
and loses calls.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from appnet.analysis import Strength
from tests.optimize.chains import KV, STREAMS, difference, legal, random_chain, worlds_for

_PLANS = 3


def judge(seed: int, worlds: int) -> tuple[Counter[str], list[str]]:
    """What there was to judge in the chain of this seed, and what is wrong with it."""
    source = random.Random(seed)
    method = source.choice((KV, KV, *STREAMS))
    chain = random_chain(source, method)
    counts, wrong = Counter(chains=1), []
    for strength in Strength:
        problem = chain.problem(strength)
        moves = [it for it in legal(problem) if chain.moved(problem, it)]
        counts[f"{strength.value}: nothing moves" if not moves else f"{strength.value}: moves"] += 1
        for arrangement in source.sample(moves, min(_PLANS, len(moves))):
            counts["plans"] += 1
            for world in worlds_for(chain.moved(problem, arrangement), strength, source, worlds, method):
                found = difference(chain, problem, arrangement, strength, world)
                if found is not None:
                    wrong.append(f"seed {seed}, {strength.value}, {method.full_name}: {chain}\n{arrangement}\n{found}")
                    break
    return counts, wrong


def main() -> int:
    """Prints counts, and each plan that was told from the chain as written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=2_000)
    parser.add_argument("--worlds", type=int, default=60, help="for each plan")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    failures = 0
    seeds = range(arguments.seed, arguments.seed + arguments.chains)
    with ProcessPoolExecutor(arguments.processes) as pool:
        judged = pool.map(judge, seeds, itertools.repeat(arguments.worlds), chunksize=10)
        for number, (found, wrong) in enumerate(judged, start=1):
            counts += found
            failures += len(wrong)
            for it in wrong:
                print(f"--- {it}", flush=True)
            if number % 200 == 0:
                print(f"{number} chains, {failures} wrong: {dict(sorted(counts.items()))}", flush=True)
    print(f"{arguments.worlds} worlds for each plan, {failures} wrong: {dict(sorted(counts.items()))}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
