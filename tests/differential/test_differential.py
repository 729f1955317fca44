"""The interpreter, the native module and the wasm module are one: every verdict, byte, record and state."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from appnet.codegen.c.build import Target
from tests.differential.compare import Comparison, make_chain
from tests.support.elements import make_program
from tests.support.traffic import make_traffic

# Of the same constructs as the public echo and key-value elements; and the samples, whose field `body` is `text` here.
PROGRAMS = sorted(Path(__file__).parent.glob("programs/*.appnet"))
SAMPLES = sorted(Path(__file__).parents[2].glob("config/samples/echo/*.appnet"))
CALLS_A_PROGRAM = 210
CALLS_A_GENERATED_PROGRAM = 30


def run_all(comparison: Comparison, calls: int) -> int:
    """Traffic for every chain of the module, in several rounds, so that chains take turns."""
    requests = 0
    for round_ in range(3):
        for index in range(len(comparison.chains)):
            seed = round_ * 1000 + index
            requests += comparison.run(index, make_traffic(seed, calls // 3), seed)
        comparison.check_state()
    return requests


def _program(name: str) -> str:
    return Path(__file__).with_name("programs").joinpath(f"{name}.appnet").read_text()


@pytest.mark.parametrize("target", Target)
def test_written_programs_alone_and_in_chains(target: Target):
    texts = [path.read_text() for path in PROGRAMS]
    texts += [re.sub("'body'", "'text'", path.read_text(), flags=re.IGNORECASE) for path in SAMPLES]
    source = random.Random(1)
    alone = [make_chain(f"alone{number}", [text]) for number, text in enumerate(texts)]
    together = [make_chain(f"chain{number}", source.sample(texts, source.randint(2, 5))) for number in range(12)]
    watched = [_program(name) for name in ("seen_headers", "late_refusal", "narrowing", "error_path")]
    together += [make_chain("watched", watched), make_chain("guarded", [_program("log"), *watched[::-1]])]
    requests = run_all(Comparison([*alone, *together], target), CALLS_A_PROGRAM)
    assert requests >= 10_000


def check_generated(seed: int, target: Target) -> None:
    source = random.Random(seed)
    texts = [make_program(source) for _ in range(60)]
    alone = [make_chain(f"made{number}", [text]) for number, text in enumerate(texts)]
    together = [make_chain(f"mixed{number}", texts[number * 3 : number * 3 + 3]) for number in range(10)]
    requests = run_all(Comparison([*alone, *together], target), CALLS_A_GENERATED_PROGRAM)
    assert requests >= 1_800


@pytest.mark.parametrize("target", Target)
def test_generated_programs(target: Target):
    check_generated(3, target)


@settings(max_examples=max(settings.default.max_examples // 200, 1), phases=[Phase.generate], database=None)
@given(st.integers(4, 2**32), st.sampled_from(Target))
def test_generated_programs_that_are_new_when_fuzzing(seed: int, target: Target):
    check_generated(seed, target)
