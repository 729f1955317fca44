"""The interpreter, native and wasm modules, and hosts of decoded messages are one: every verdict, byte, record, state."""

import subprocess
import sys
from pathlib import Path

import pytest

from appnet.interpret.operations import MEANINGS
from tests.differential import fuzz
from tests.support.programs import program
from tests.support.sanitizers import sanitizer_library

ROOT = Path(__file__).parents[2]
CALLS_A_PROGRAM = 210
GENERATED_PROGRAMS = 300  # make fuzz makes more of them


def test_written_programs_alone_and_in_chains():
    assert fuzz.run_all(fuzz.written_chains(), CALLS_A_PROGRAM) >= 10_000


@pytest.mark.parametrize("batch", range(GENERATED_PROGRAMS // fuzz.PROGRAMS_A_BATCH))
def test_generated_programs(batch: int):
    assert fuzz.run_batch(batch) >= fuzz.PROGRAMS_A_BATCH * 50


@pytest.mark.parametrize("seed", range(3))
def test_generated_programs_that_reply(seed: int):
    assert fuzz.run_replies(seed) >= fuzz.PROGRAMS_A_BATCH * 50


@pytest.mark.parametrize("path", sorted(fuzz.REGRESSIONS.glob("*.appnet")), ids=lambda path: path.stem)
def test_what_once_disagreed(path: Path):
    assert not fuzz.disagrees(path.read_text().split(fuzz.BETWEEN_ELEMENTS))


def test_no_module_reads_or_writes_out_of_place():
    if sanitizer_library("address") is None:
        pytest.skip("needs gcc with its sanitizers: apt install gcc")
    command = [sys.executable, "-m", "tests.differential.fuzz", "--sanitized", "--programs", "60", "--seed", "1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "60 programs" in run.stdout


def test_messages_that_were_tampered_with():
    if sanitizer_library("address") is None:
        pytest.skip("needs gcc with its sanitizers: apt install gcc")
    command = [sys.executable, "-m", "tests.differential.hostile", "--messages", "2000"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    seen = {
        what: int(count.replace(",", "")) for count, what in (it.split(maxsplit=1) for it in run.stdout.splitlines())
    }
    assert seen["judged"] > 3_000
    assert seen["refused"] > 1_000


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
