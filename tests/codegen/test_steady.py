"""In the long run, judging a call takes nothing from the heap: what one call gives back serves the next."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language import Given
from tests.support.native_host import EXPORTS, INCLUDE, MEMORY, SHARED, unit
from tests.support.signatures import ECHO

HERE = Path(__file__).parent / "c"
ELEMENTS = Path("config/samples/elements")
COMPILER = ["gcc"] if shutil.which("gcc") else [sys.executable, "-m", "ziglang", "cc"]  # the quicker one
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", *INCLUDE, f"-I{HERE}")
CALLS = 10_000  # by then each element has refused more calls than it explains in a second
MOST = 20  # what grows by doubling may still do so
PARAMETERS: dict[str, dict[str, str | float]] = {
    "acl": {"header": "session", "allowed": "".join(f"s{number}," for number in range(10))},
    "bandwidth_limit": {"rate": 1e12, "burst": 1e12},
    "concurrency_limit": {"limit": 100},
    "rate_limit": {"rate": 1e12, "burst": 1e12},
    "sticky": {"header": "session"},
}  # such that calls pass
TWELVE = (
    "acl", "rate_limit", "headers", "firewall", "fault", "circuit_breaker", "admission_control", "metrics",
    "concurrency_limit", "retry_budget", "timeout", "redact",
)  # fmt: skip


def element(name: str, source: str | None = None) -> Element:
    given = {key: Given(value) for key, value in PARAMETERS.get(name, {}).items()}
    path = ELEMENTS / f"{name}.appnet"
    text = FileSource(path) if source is None else TextSource(path, source)
    return compile_element(text, ECHO, parameters=given).element


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("runtime") / "runtime.o"
    source = built.with_name("unit.c")
    source.write_text(SHARED)
    subprocess.run([*COMPILER, *FLAGS, "-c", source, "-o", built], check=True)
    return built


AS_HTTP, AS_SLOTS = unit("caller.h", "steady.c"), unit("steady_chain.c")


def counts(
    folder: Path, runtime: Path, chain: Sequence[Element], status: int = 0, host: str = AS_HTTP
) -> dict[str, int]:
    """What steady.c prints of the chain, or steady_chain.c."""
    source = print_chain(ChainSource("steady", "1", [(ECHO, chain)]))
    source_file, built = folder / "chain.c", folder / "chain"
    source_file.write_text("\n".join(['#include "counted.h"', source, EXPORTS, MEMORY, host]))
    subprocess.run([*COMPILER, *FLAGS, source_file, runtime, "-o", built], check=True)
    done = subprocess.run([built, str(CALLS), str(status)], capture_output=True, text=True, check=True)
    return {name: int(value) for name, value in (line.split(" = ") for line in done.stdout.splitlines())}


@pytest.mark.parametrize("name", sorted(path.stem for path in ELEMENTS.glob("*.appnet")))
def test_an_element_takes_no_memory_for_a_call(name: str, tmp_path: Path, runtime: Path) -> None:
    found = counts(tmp_path, runtime, [element(name)])
    assert found["first"] > 0, "nothing was counted"
    assert found["later"] <= MOST


def test_a_long_chain_takes_no_memory_for_a_call(tmp_path: Path, runtime: Path) -> None:
    found = counts(tmp_path, runtime, [element(it) for it in TWELVE])
    assert found["passed"] > CALLS
    assert found["later"] <= MOST


@pytest.mark.parametrize("status", [0, 14])
def test_a_host_of_decoded_messages_takes_no_memory_for_a_call(status: int, tmp_path: Path, runtime: Path) -> None:
    chain = [element(it) for it in ("acl", "firewall", "mutation", "circuit_breaker", "metrics")]
    found = counts(tmp_path, runtime, chain, status, AS_SLOTS)
    assert found["passed"] > 0
    assert found["first"] > 0
    assert found["later"] <= MOST


def test_failing_calls_take_no_memory(tmp_path: Path, runtime: Path) -> None:
    found = counts(tmp_path, runtime, [element("circuit_breaker"), element("metrics")], status=14)
    assert found["later"] <= MOST


def test_what_takes_memory_is_seen(tmp_path: Path, runtime: Path) -> None:
    keeps_all = """
state:
    seen: Map<uint, string>
init():
    pass
req(rpc):
    set(seen, rpc_id() * 2, get(rpc, 'Body'))
    send(rpc, Down)
resp(rpc):
    send(rpc, Up)
"""
    assert counts(tmp_path, runtime, [element("keeps_all", keeps_all)])["later"] >= CALLS
