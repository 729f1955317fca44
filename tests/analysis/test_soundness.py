"""A slice of `python -m tests.analysis.fuzz`, and of the standard pairs: the interpreter contradicts no decision."""

import itertools
import random

import pytest

from appnet.analysis import Proved, Strength
from appnet.analysis.decide import proved_or_unknown
from appnet.analysis.replay import replay
from tests.analysis.fuzz import judge_seed
from tests.analysis.standard import METHOD, standard_elements
from tests.analysis.support import random_runs


@pytest.mark.parametrize("seed", range(60))
def test_random_pairs(seed: int):
    judged, texts = judge_seed(seed, sequences=30)
    assert judged.wrong is None, f"{judged.decision}\n{texts}"


def test_standard_pairs_that_may_swap_are_never_told_apart():
    pairs = list(itertools.combinations(standard_elements(), 2))
    for first, second in random.Random(0).sample(pairs, 60):
        for strength in Strength:
            decision = proved_or_unknown(first, second, METHOD, strength)
            if not isinstance(decision, Proved):
                continue
            for run in random_runs(first, second, METHOD, seed=7, from_init=10, from_states=20):
                same_status = not decision.status_may_differ
                assert replay(first, second, METHOD, strength, run, same_status=same_status) is None
