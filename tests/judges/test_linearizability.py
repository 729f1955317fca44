"""Strong state on all processors is linearizable, as Porcupine finds in histories; and a flaw is found."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path
from types import ModuleType

import pytest

from appnet.ir import sharing
from appnet.processors import options
from appnet.processors.grpc import versions
from appnet.state import gateway
from appnet.state.layout import script
from tests.judges.linearizability.history import CHECKER, built_checker, judged
from tests.support.asynchronous import asynchronous
from tests.support.go import NoToolsError, find_go, run_go

pytestmark = [pytest.mark.judges, pytest.mark.timeout(1200)]

CALLS = 2000
"""Of each history; `make bench-histories` makes many long ones."""


@pytest.fixture(scope="session")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return built_checker(tmp_path_factory.mktemp("checker"))
    except NoToolsError as error:
        pytest.exit(str(error), returncode=1)


@pytest.mark.parametrize("element", ["limit", "registers", "versioned"])
@asynchronous
async def test_a_history_is_linearizable(checker: Path, tmp_path: Path, element: str) -> None:
    found = await judged(checker, element, tmp_path, calls=CALLS)
    assert found.result == "Ok", f"see {tmp_path / 'history.html'}: {found}"
    assert found.answered + found.refused >= CALLS
    assert found.unknown > 0, "nothing went wrong meanwhile"
    assert (found.refused > 0) == (element == "limit")


@pytest.mark.parametrize(
    ("element", "told"),
    [("registers", options), ("limit", versions), ("limit", gateway)],
    ids=["native", "go", "wasm"],
)
@asynchronous
async def test_a_script_that_does_not_look_whether_others_were_faster_is_found(
    checker: Path, tmp_path: Path, element: str, told: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever processors have it; ``told``: what tells them, or asks for them."""
    looks = b"if position ~= expected then"
    assert looks in script()
    flawed = script().replace(looks, b"if position < expected then")
    monkeypatch.setattr(told, "script", lambda: flawed)
    monkeypatch.setattr(gateway, "script_digest", lambda: sha1(gateway.script(), usedforsecurity=False).hexdigest())
    found = await judged(checker, element, tmp_path, calls=1000, troubles=())
    assert found.result == "Illegal"
    assert (tmp_path / "history.html").exists()


@pytest.mark.parametrize(("looks", "result"), [(True, "Ok"), (False, "Illegal")], ids=["looks", "does not look"])
@asynchronous
async def test_a_script_looks_whether_a_register_is_there_that_a_proxy_does_not_know(
    checker: Path, tmp_path: Path, looks: bool, result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each proxy keeps two registers."""
    unknown = b"if kind == UNKNOWN and is_there(name, key)"
    assert unknown in script()
    monkeypatch.setattr(sharing, "PART", 2)
    if not looks:
        monkeypatch.setattr(options, "script", lambda: script().replace(unknown, b"if false"))
    assert (await judged(checker, "registers", tmp_path, calls=2000 if looks else 1000)).result == result


@asynchronous
async def test_a_store_that_forgets_is_found(checker: Path, tmp_path: Path) -> None:
    """Without an append-only file, what it had when it was killed is lost."""
    kills = [lambda it: it.kill_store(0.0)] * 2
    found = await judged(checker, "versioned", tmp_path, calls=500, durable=False, troubles=kills)
    assert found.result == "Illegal"


def test_the_checker_is_tidy() -> None:
    go = find_go()
    assert run_go([go, "vet", "./..."], CHECKER) == ""
    assert run_go([go, "mod", "tidy", "-diff"], CHECKER) == ""
    assert run_go([go, "fmt", "./..."], CHECKER) == ""
