"""The libraries and the interpreter are one: every verdict, message, metadata, record and state, in Go and in Python."""

import random
from pathlib import Path

import pytest

from tests.differential import fuzz
from tests.differential.compare import Subject, make_chain
from tests.differential.library import GO, IN_MODULES, PYTHON
from tests.differential.streams import run_streams
from tests.differential.test_streams import WRITTEN
from tests.differential.test_upgrades import steady_chains
from tests.differential.unnamed import with_unnamed, without_unnamed
from tests.differential.upgrades import UPGRADED_IN_GO, tells_versions_apart
from tests.support.sample import SAMPLE
from tests.support.traffic import make_traffic
from tests.support.wire import encode, parse, same


@pytest.fixture(
    params=[
        pytest.param(GO, id="go", marks=pytest.mark.go),
        pytest.param(IN_MODULES, id="wasm", marks=pytest.mark.go),
        pytest.param(PYTHON, id="python"),
    ]
)
def library(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


def test_written_programs_alone_and_in_chains(library: Subject):
    assert fuzz.run_all(fuzz.written_chains(), 105, subjects=[library]) >= 5_000


@pytest.mark.parametrize("path", sorted(fuzz.REGRESSIONS.glob("*.appnet")), ids=lambda path: path.stem)
def test_what_once_disagreed(path: Path, library: Subject):
    chain = make_chain("again", path.read_text().split(fuzz.BETWEEN_ELEMENTS))
    assert fuzz.run_all([chain], 4 * fuzz.CALLS_A_PROGRAM, subjects=[library]) > fuzz.CALLS_A_PROGRAM


def test_generated_programs(library: Subject):
    assert fuzz.run_batch(1_000, [library]) >= fuzz.PROGRAMS_A_BATCH * 50


def test_generated_programs_that_reply(library: Subject):
    assert fuzz.run_replies(1_000, [library]) >= fuzz.PROGRAMS_A_BATCH * 50


def test_written_streams(library: Subject):
    judged, refused = run_streams([[it.read_text()] for it in WRITTEN], 12, library)
    assert judged > 12 * len(WRITTEN)
    assert refused > len(WRITTEN) // 4


def test_generated_streams(library: Subject):
    calls, _ = run_streams(fuzz.texts_of_streams(1_000), 8, library)
    assert calls > 400


@pytest.mark.go
def test_nobody_can_tell_that_a_chain_was_upgraded():
    made = [chain for chain, _ in zip(steady_chains(30_000), range(10), strict=False)]
    written = [it for it in fuzz.written_chains() if not any(map(tells_versions_apart, it.elements))]
    chains = [*made, *written[::3]]
    judged = fuzz.run_all(chains, fuzz.CALLS_A_PROGRAM, 30_000 << 16, subjects=[UPGRADED_IN_GO])
    assert judged > 40 * len(chains)


def test_what_go_reads_otherwise_is_kept_apart_and_put_back():
    source = random.Random(1)
    traffic = make_traffic(1, 60, whole=False)
    for exchange in traffic.exchanges:
        body = encode(source, exchange.request)
        there = with_unnamed(without_unnamed(body), body)
        assert same(parse(there, SAMPLE.request.full_name), parse(body, SAMPLE.request.full_name))
