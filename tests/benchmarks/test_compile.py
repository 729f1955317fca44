"""The compiler's benchmark measures what it says: on applications small enough for a test."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from appnet.analysis import DecisionCache
from appnet.application.load import LoadedChain
from appnet.application.model import Chain
from benchmarks import report
from benchmarks.compile import LONGEST, SHORTEST, Applications, Measured, measure, rows_of


def test_applications_are_trees_of_random_chains() -> None:
    application = Applications(random.Random(1)).make(200)
    edges = [it.chain.edge for it in application]
    assert len({it.server for it in edges}) == 200
    assert {it.client for it in edges} <= {"service-0", *(it.server for it in edges)}
    lengths = {len(it.chain.stops) for it in application}
    assert lengths == set(range(SHORTEST, LONGEST + 1))
    assert len({_names(it.chain) for it in application}) > 190
    assert len({_names(it.chain) for it in Applications(random.Random(1)).make(200, 5)}) == 5


def test_equal_chains_are_printed_once(tmp_path: Path) -> None:
    (chain,) = Applications(random.Random(3)).make(1)
    short = replace(chain.chain, stops=chain.chain.stops[:2])
    one = LoadedChain(short, chain.methods, chain.proto)
    once, often = (measure([one] * count, DecisionCache(tmp_path)) for count in (1, 30))
    assert once.distinct == often.distinct == 1
    assert once.text_bytes == often.text_bytes > 1_000


def test_rows_are_medians() -> None:
    samples = {
        "4": [Measured(1.0, 0.5, 4, 2_000_000), Measured(3.0, 0.7, 4, 2_000_000), Measured(2.0, 0.6, 4, 2_000_000)]
    }
    rows = {it.metric: (it.value, it.unit) for it in rows_of(samples, {"4": 4})}
    assert rows["time"] == (2.0, "s")
    assert rows["CPU per edge"] == (150.0, "ms")
    assert rows["C text"] == (2.0, "MB")


def test_the_plot_of_growth_names_its_axes(tmp_path: Path) -> None:
    report.growth({10: [0.1, 0.2], 100: [1.0, 1.1]}, ("edges", "seconds"), tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    assert "edges" in drawn
    assert "in proportion" in drawn


def _names(chain: Chain) -> tuple[str, ...]:
    return tuple(it.spec.name.value for it in chain.stops)
