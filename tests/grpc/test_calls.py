"""Whole calls through a chain: beside the client and beside the server, blocking and asynchronous."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.grpc.service import KINDS, Loop, Place, placed, state, wait_for

Code = grpc.StatusCode


def file(chains: Path, name: str, kind: str) -> bytes:
    return (chains / f"{name}.{kind.split(maxsplit=1)[0]}.chains").read_bytes()


def counted(place: Place, line: str) -> None:
    wait_for(lambda: line in state(place.end), lambda: state(place.end))


@pytest.fixture(params=[it for it in KINDS if "written" not in it])
def place(request: pytest.FixtureRequest, chains: Path, loop: Loop) -> Iterator[Place]:
    with placed(request.param, loop, file(chains, "calls", request.param)) as it:
        yield it


def test_metadata_and_messages(place: Place) -> None:
    mine = (("x-user", "ann"), ("x-secret", "s"))
    found = place.caller.unary(b"change", mine)
    assert (found.code, found.bodies, found.response.username) == (Code.OK, [b"changed"], "somebody")
    seen = dict(place.service.seen)
    assert seen["x-tenant"] == "of ann"
    assert "x-secret" not in seen
    assert (found.header["x-count"], found.header["x-handler"]) == ("1", "header")
    assert (found.trailer["x-trailer"], found.trailer["x-handler-trailer"]) == ("told", "trailer")
    found = place.caller.unary(b"change back", mine)
    assert (found.bodies, place.service.bodies[-1]) == ([b"changed back"], b"change back")
    counted(place, "calls.ends = 2\n")


def test_refusals(place: Place) -> None:
    found = place.caller.unary(b"refuse")
    assert (found.code, found.details, found.trailer["x-why"]) == (Code.ABORTED, "refused", "because")
    assert place.service.calls == 0
    found = place.caller.unary(b"refuse back")
    assert (found.code, found.details) == (Code.DATA_LOSS, "refused on its way back")
    found = place.caller.unary(b"missing")
    assert (found.code, found.details) == (Code.UNAVAILABLE, "not here")
    found = place.caller.unary(b"fail")
    assert (found.code, found.details) == (Code.FAILED_PRECONDITION, "as told")
    assert found.trailer["grpc-status-details-bin"] == b"\1\2\3"
    assert found.trailer["x-trailer"] == "told"
    counted(place, "calls.failed = 2\n")
    counted(place, "calls.ends = 3\n")


def test_a_status_that_is_said_and_not_raised(place: Place) -> None:
    found = place.caller.unary(b"set code")
    assert (found.code, found.details) == (Code.UNAVAILABLE, "not here")


def test_a_handler_that_fails(place: Place) -> None:
    found = place.caller.unary(b"fail oddly")
    assert found.code is Code.UNKNOWN
    assert "odd" in found.details
    counted(place, "calls.failed = 1\n")


def test_replies(place: Place) -> None:
    found = place.caller.unary(b"answer")
    assert (found.code, found.bodies, place.service.calls) == (Code.OK, [b"made here"], 0)


def test_deadlines_and_delays(place: Place) -> None:
    assert place.caller.unary(b"hurry").code is Code.DEADLINE_EXCEEDED
    before = time.monotonic()
    assert place.caller.unary(b"wait").code is Code.OK
    assert time.monotonic() - before >= 0.03
    assert place.caller.unary(b"slow", timeout=0.02).code is Code.DEADLINE_EXCEEDED
