"""Programs that share state through a real store: of all kinds, with calls that come at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from appnet.processors.grpc.versions import message_class
from appnet.state.layout import script
from appnet.state.server import running_store, store_folder
from tests.grpc.service import KINDS, Loop, Place, placed, state, wait_for
from tests.processors.grpc.chains import SHARED_LIMIT, chain_file


def settings(folder: Path, scope: str, timeout: float) -> Any:
    return message_class("Store")(
        path=str(folder / "store.sock"), scope=scope, timeout_ms=round(1000 * timeout), merge_ms=20, script=script()
    )


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    folder = store_folder()
    with running_store(folder):
        yield folder


@contextlib.contextmanager
def two(kind: str, loop: Loop, store: Path, timeout: float = 15.0) -> Iterator[tuple[Place, Place]]:
    """Two programs, each with a chain of its own."""
    file = chain_file(
        "shared",
        {"UnaryCall": [("limit", SHARED_LIMIT)]},
        server=kind.startswith("server"),
        store=settings(store, kind, timeout),
    )
    with placed(kind, loop, file) as one, placed(kind, loop, file) as other:
        yield one, other


@pytest.mark.parametrize("kind", [it for it in KINDS if "written" not in it])
def test_programs_have_one_limit(kind: str, loop: Loop, store: Path) -> None:
    with two(kind, loop, store) as places, ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda number: places[number % 2].caller.unary(b"").code, range(60)))
        assert found.count(grpc.StatusCode.OK) == 40
        assert found.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 20
        for it in places:
            wait_for(lambda it=it: "limit.seen = 60\n" in state(it.end), lambda it=it: state(it.end))
        one = places[0]
        assert one.caller.unary(b"").code is grpc.StatusCode.RESOURCE_EXHAUSTED  # and it sees all that ended
        wait_for(lambda: "limit.begun = 0\n" in state(one.end), lambda: state(one.end))


def test_a_store_that_is_away(loop: Loop) -> None:
    folder = store_folder()
    with contextlib.ExitStack() as stack:
        with running_store(folder):
            one, other = stack.enter_context(two("server aio", loop, folder, timeout=0.5))
            wait_for(lambda: one.caller.unary(b"").code is grpc.StatusCode.OK, lambda: state(one.end))
        found = one.caller.unary(b"")
        assert (found.code, found.details) == (grpc.StatusCode.UNAVAILABLE, "state of limit is unavailable")
        with running_store(folder):
            wait_for(lambda: other.caller.unary(b"").code is grpc.StatusCode.OK, lambda: state(other.end))
