"""State is the same through upgrades: a chain that is upgraded to itself is the interpreter's, which never is."""

from collections.abc import Iterator

import pytest

from tests.differential import fuzz
from tests.differential.compare import Chain, make_chain
from tests.differential.upgrades import UPGRADED, tells_versions_apart

PROGRAMS = 40


def steady_chains(seed: int) -> Iterator[Chain]:
    """Chains of generated programs of which nobody can tell whether they were upgraded."""
    while True:
        for number, texts in enumerate(fuzz.texts_of(seed)):
            chain = make_chain(f"made{seed}_{number}", texts)
            if not any(map(tells_versions_apart, chain.elements)):
                yield chain
        seed += 1


@pytest.mark.parametrize("seed", [10_000, 20_000])
def test_nobody_can_tell_that_a_chain_was_upgraded(seed: int):
    chains = [chain for chain, _ in zip(steady_chains(seed), range(PROGRAMS), strict=False)]
    assert fuzz.run_all(chains, fuzz.CALLS_A_PROGRAM, seed << 16, subjects=UPGRADED) > PROGRAMS * 40


def test_written_programs_go_on_where_they_were():
    chains = [it for it in fuzz.written_chains() if not any(map(tells_versions_apart, it.elements))]
    assert fuzz.run_all(chains, 3 * fuzz.CALLS_A_PROGRAM, subjects=UPGRADED) > 1000
