"""Streams through a chain: beside the client and beside the server, blocking and asynchronous, read, written and iterated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.grpc.service import KINDS, Loop, Place, placed, state, wait_for
from tests.grpc.test_calls import file

Code = grpc.StatusCode
ANN = (("x-user", "ann"),)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, chains: Path, loop: Loop) -> Iterator[Place]:
    with placed(request.param, loop, file(chains, "streams", request.param)) as it:
        yield it


def test_streams(place: Place) -> None:
    found = place.caller.duplex([b"hello", b"change", b"change back"], ANN)
    assert (found.code, found.bodies) == (Code.OK, [b"hello", b"changed", b"changed back"])
    assert (found.trailer["x-came"], found.trailer["x-handler-trailer"]) == ("3", "trailer")
    assert dict(place.service.seen)["x-tenant"] == "of ann"
    found = place.caller.output(b"change", ANN)
    assert (found.code, found.bodies, found.trailer["x-came"]) == (Code.OK, [b"changed"] * 3, "3")
    found = place.caller.taken([b"change", b"change"], ANN)
    assert (found.code, found.response.aggregated_payload_size) == (Code.OK, 14)
    wanted = [
        "duplex.ends = 1",
        "duplex.sent = 3",
        "output.ends = 1",
        "output.came = 3",
        "input.ends = 1",
        "input.sent = 2",
    ]
    wait_for(lambda: all(f"{it}\n" in state(place.end) for it in wanted), lambda: state(place.end))
    assert "left = 1" not in state(place.end)


def test_streams_are_refused(place: Place) -> None:
    found = place.caller.duplex([b"hello"], (("x-user", "nobody"),))
    assert (found.code, found.details) == (Code.UNAUTHENTICATED, "who?")
    for sent, code in {b"refuse": Code.ABORTED, b"refuse back": Code.DATA_LOSS}.items():
        found = place.caller.duplex([b"first", sent, b"last"])
        assert (found.code, b"last" in found.bodies) == (code, False)
        assert place.caller.output(sent).code is code
    found = place.caller.taken([b"first", b"refuse"])
    assert (found.code, found.details) == (Code.ABORTED, "refused")


def test_streams_are_left(place: Place) -> None:
    place.caller.leave(b"hello")
    if place.kind.startswith("server"):  # gRPC may say that the requests ended before it says that the call was cut
        wait_for(lambda: "duplex.ends = 1\n" in state(place.end), lambda: state(place.end))
        return
    wait_for(lambda: "duplex.left = 1\n" in state(place.end), lambda: state(place.end))


def test_a_stream_of_no_requests(place: Place) -> None:
    assert place.caller.duplex([]).code is Code.OK
    assert place.caller.taken([]).response.aggregated_payload_size == 0
