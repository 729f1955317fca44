"""Worker threads share one instance of a compiled chain: they do not race, and its state is one for all of them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appnet.analysis import infer
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language import Given
from appnet.observe import otlp
from tests.support.native_host import EXPORTS, INCLUDE, MEMORY, SHARED
from tests.support.sanitizers import sanitizer_library
from tests.support.signatures import ECHO

HERE = Path(__file__).parent / "c"
ELEMENTS = Path("config/samples/elements")
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=thread")
THREADS = 4
CALLS = 2_500  # of each thread
UNAVAILABLE = 14

pytestmark = pytest.mark.skipif(
    sanitizer_library("thread") is None, reason="gcc has no thread sanitizer: apt-get install gcc libtsan2"
)


@dataclass(frozen=True)
class Outcome:
    """``counts`` and ``state``: as workers.c prints them. ``records``: by ELEMENT.VARIABLE, how many."""

    counts: Mapping[str, int]
    state: Mapping[str, str]
    records: Mapping[str, int]


def compiled(*arguments: object) -> None:
    subprocess.run(["gcc", *FLAGS, *INCLUDE, f"-I{HERE}", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("runtime") / "runtime.o"
    source = built.with_name("unit.c")
    source.write_text(SHARED + MEMORY)
    compiled("-c", source, "-o", built)
    return built


def element(name: str, **parameters: object) -> Element:
    given = {key: Given(value) for key, value in parameters.items()}
    return compile_element(FileSource(ELEMENTS / f"{name}.appnet"), ECHO, parameters=given).element


def program(folder: Path, runtime: Path, source: str) -> Path:
    unit, built = folder / "chain.c", folder / "chain"
    unit.write_text(f'{source}\n{EXPORTS}#include "caller.h"\n#include "workers.c"\n')
    compiled(unit, runtime, "-lpthread", "-o", built)
    return built


def run(folder: Path, runtime: Path, chain: Sequence[Element], *, backends: int = 3, status: int = 0) -> Outcome:
    """Lets the threads make their calls; no race is reported."""
    built = program(folder, runtime, print_chain(ChainSource("workers", "1", [(ECHO, chain)])))
    done = started(built, folder / "records", backends, status)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" = ", 1) for line in done.stdout.splitlines())
    names = ("passed", "refused", "inside", "set", "unlike")
    counts = {name: int(lines.pop(name)) for name in names}
    assert counts["passed"] + counts["refused"] == THREADS * CALLS
    return Outcome(counts, lines, recorded((folder / "records").read_bytes()))


def started(built: Path, records: Path, backends: int, status: int) -> subprocess.CompletedProcess[str]:
    arguments = [str(it) for it in (built, THREADS, CALLS, backends, status, records)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def recorded(batches: bytes) -> dict[str, int]:
    found: dict[str, int] = {}
    scopes: list[Any] = [
        scope for it in otlp.ExportLogsServiceRequest.FromString(batches).resource_logs for scope in it.scope_logs
    ]
    for it in scopes:
        found[it.scope.name] = found.get(it.scope.name, 0) + len(it.log_records)
    return found


def test_a_limit_of_n_is_n(tmp_path: Path, runtime: Path) -> None:
    found = run(tmp_path, runtime, [element("rate_limit", rate=0.0, burst=500.0)])
    assert found.counts["passed"] == 500


def test_no_more_are_inside_than_may_be(tmp_path: Path, runtime: Path) -> None:
    found = run(tmp_path, runtime, [element("concurrency_limit", limit=2)])
    assert found.counts["inside"] == 2
    assert found.counts["refused"] > 0


def test_every_call_is_measured(tmp_path: Path, runtime: Path) -> None:
    found = run(tmp_path, runtime, [element("metrics")])
    assert found.records == {"metrics.latency": THREADS * CALLS}


def test_all_calls_of_a_session_go_to_one_host(tmp_path: Path, runtime: Path) -> None:
    found = run(tmp_path, runtime, [element("sticky")], backends=8)
    assert found.counts["unlike"] == 0
    assert found.counts["set"] == THREADS * CALLS
    assert found.state["sticky.hosts"].count(":") == 10


def test_a_breaker_counts_every_failure(tmp_path: Path, runtime: Path) -> None:
    found = run(tmp_path, runtime, [element("circuit_breaker", failures=5)], status=UNAVAILABLE)
    assert 5 <= found.counts["passed"] < 5 + THREADS
    assert found.state["circuit_breaker.in_row"] == str(found.counts["passed"])


def test_a_counter_counts_every_call(tmp_path: Path, runtime: Path) -> None:
    found = run(tmp_path, runtime, [element("mirror", share=0.5)])
    assert 0 < found.counts["set"] < THREADS * CALLS
    assert found.state["mirror.marked"] == str(found.counts["set"])


def test_all_that_keep_state_in_one_module(tmp_path: Path, runtime: Path) -> None:
    every = [element(path.stem) for path in sorted(ELEMENTS.glob("*.appnet"))]
    keeping = [it for it in every if infer(it).lasting()]
    assert len(keeping) > 10
    found = run(tmp_path, runtime, keeping)
    assert found.counts["passed"] > 0
    assert found.records["metrics.latency"] > 0


def test_a_race_would_be_reported(tmp_path: Path, runtime: Path) -> None:
    source = print_chain(ChainSource("workers", "1", [(ECHO, [element("rate_limit")])]))
    assert "an_lock_acquire(" in source
    unlocked = source.replace("an_lock_acquire(", "(void)(").replace("an_lock_release(", "(void)(")
    done = started(program(tmp_path, runtime, unlocked), tmp_path / "records", backends=3, status=0)
    assert done.returncode != 0
    assert "data race" in done.stderr
