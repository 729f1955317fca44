"""The interpreter, the native module and the wasm module are one: every verdict, byte, record and state."""

import random
import re
from pathlib import Path

import pytest

from appnet.interpret.operations import MEANINGS
from tests.differential import fuzz
from tests.differential.compare import make_chain
from tests.support.programs import program

# Of the same constructs as the public echo and key-value elements; and the samples, whose field `body` is `text` here.
PROGRAMS = sorted(Path(__file__).parent.glob("programs/*.appnet"))
SAMPLES = sorted(Path(__file__).parents[2].glob("config/samples/echo/*.appnet"))
CALLS_A_PROGRAM = 210
GENERATED_PROGRAMS = 2_040


def _program(name: str) -> str:
    return Path(__file__).with_name("programs").joinpath(f"{name}.appnet").read_text()


def test_written_programs_alone_and_in_chains():
    texts = [path.read_text() for path in PROGRAMS]
    texts += [re.sub("'body'", "'text'", path.read_text(), flags=re.IGNORECASE) for path in SAMPLES]
    source = random.Random(1)
    alone = [make_chain(f"alone{number}", [text]) for number, text in enumerate(texts)]
    together = [make_chain(f"chain{number}", source.sample(texts, source.randint(2, 5))) for number in range(12)]
    watched = [_program(name) for name in ("seen_headers", "late_refusal", "narrowing", "error_path")]
    together += [make_chain("watched", watched), make_chain("guarded", [_program("log"), *watched[::-1]])]
    assert fuzz.run_all([*alone, *together], CALLS_A_PROGRAM) >= 10_000


@pytest.mark.parametrize("batch", range(GENERATED_PROGRAMS // fuzz.PROGRAMS_A_BATCH))
def test_generated_programs(batch: int):
    assert fuzz.run_batch(batch) >= fuzz.PROGRAMS_A_BATCH * 50


@pytest.mark.parametrize("path", sorted(fuzz.REGRESSIONS.glob("*.appnet")), ids=lambda path: path.stem)
def test_what_once_disagreed(path: Path):
    assert not fuzz.disagrees(path.read_text().split(fuzz.BETWEEN_ELEMENTS))


def test_a_disagreement_is_shrunk_to_what_shows_it(monkeypatch: pytest.MonkeyPatch):
    """Where the interpreter is made wrong, the modules are told apart, by the one line that matters."""
    bystander = "x = 3 * 4\nif x == 12:\n    set(rpc, 'count', 5)\n"
    texts = [program(bystander), program(f"{bystander}y = abs(x)\nset(rpc, 'sway', y)\n{bystander}")]
    assert not fuzz.disagrees(texts, calls=12)
    monkeypatch.setitem(MEANINGS, "abs", lambda _machine, number: -number)
    shrunk = fuzz.shrink(texts, lambda texts: fuzz.disagrees(texts, calls=12))
    assert len(shrunk) == 1
    assert "abs(" in shrunk[0]
    assert "if x" not in shrunk[0]
