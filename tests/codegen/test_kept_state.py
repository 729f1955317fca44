"""State that outlives its version: the C of it under sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.processors.envoy import native
from tests.support.native_host import EXPORTS, INCLUDE, MEMORY, SHARED
from tests.support.sanitizers import sanitizer_library
from tests.support.signatures import ECHO

HERE = Path(__file__).parent / "c"
LOADER = Path(native.__file__).parent / "loader"
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all")
EVERYTHING = """\
state:
    @capacity(5)
    users: Map<string, int>
    rates: Map<float, string>
    seen: Map<bool, Vec<string>>
    @capacity(7)
    recent: Vec<string>
    pair: <int, string>
    last: string
    total: int
    mean: float

init():
    pass

req(rpc):
    user = get(rpc, 'body')
    total = total + 1
    mine = get(users, user, 0) + 1
    set(users, user, mine)
    mean = mean * 0.9 + to_float(mine)
    set(rates, mean, user)
    set(recent, size(recent), last)
    set(seen, mine > 10, recent)
    match get(recent, 0):
        Some(first) => pair = (mine, first)
        None => pair = (mine, 'none')
    if mine > 15:
        delete(users, user)
    last = user
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
QUOTA = """\
state:
    left: int
    used: Map<string, int>
    calls: int

init():
    left = 500

req(rpc):
    calls = calls + 1
    if left <= 0:
        send(err('used up'), Up)
    left = left - 1
    user = get(rpc, 'body')
    set(used, user, get(used, user, 0) + 1)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def element(name: str, text: str) -> Element:
    return compile_element(TextSource(Path(f"{name}.appnet"), text), ECHO).element


def program(folder: Path, sanitizer: str, source: Element, *behind: str) -> Path:
    """The chain of this element, and C files behind it, as a program."""
    if sanitizer_library(sanitizer.partition(",")[0]) is None:
        pytest.skip(f"gcc has no {sanitizer} sanitizer: apt-get install gcc libasan8 libtsan2")
    unit, built = folder / "chain.c", folder / "chain"
    includes = "".join(f'#include "{name}"\n' for name in behind)
    printed = print_chain(ChainSource("kept", "1", [(ECHO, [source])]))
    shared = folder / "shared.c"
    shared.write_text(SHARED + MEMORY)
    unit.write_text(f'{printed}\n{EXPORTS}#include "caller.h"\n{includes}')
    folders = (*INCLUDE, f"-I{HERE}", f"-I{LOADER}")
    subprocess.run(
        ["gcc", *FLAGS, f"-fsanitize={sanitizer}", *folders, unit, shared, "-lpthread", "-o", built], check=True
    )
    return built


def printed(command: list[object]) -> str:
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_damaged_bytes_are_refused_or_a_state(tmp_path: Path) -> None:
    built = program(tmp_path, "address,undefined", element("everything", EVERYTHING), "state_fuzz.c")
    rounds = 3_000
    refused = int(printed([built, 1, rounds]))
    assert rounds // 4 < refused < rounds


def test_threads_share_a_quota_through_versions_that_come_and_go(tmp_path: Path) -> None:
    built = program(tmp_path, "thread", element("quota", QUOTA), "state_keeper.c", "versions.c")
    found = dict(line.split(" = ", 1) for line in printed([built, 4, 1_000, 20]).splitlines())
    assert found["passed"] == "500"
    assert (found["quota.left"], found["quota.calls"]) == ("0", "4000")
