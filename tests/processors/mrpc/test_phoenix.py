"""Control messages, byte by byte as Phoenix's own types have them.

`golden.txt` was printed by a program outside of this repository: Phoenix's `src/ipc/src/control.rs` (commit 20495759) and
phoenix-api's `engine.rs` and `error.rs` (v0.1.0), unchanged but for the paths of their imports, with bincode 1.3.3.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appnet.application.model import Side
from appnet.processors.mrpc.phoenix import (
    Addon,
    Subscription,
    attach_request,
    detach_request,
    engine_request,
    list_request,
    listed,
)
from appnet.processors.mrpc.standing import channels, joining, leaving

LINES = (Path(__file__).parent / "golden.txt").read_text().splitlines()
GOLDEN = {name: bytes.fromhex(digits) for name, digits in (line.split() for line in LINES)}

ENGINES = ((1, "TcpRpcAdapterEngine"), (2, "MrpcEngine"))
PLAIN = Subscription(4242, 1, "Mrpc", ENGINES, ())
ATTACHED = Subscription(4242, 1, "Mrpc", (*ENGINES, (7, "AppNetSenderEngine")), ("AppNetSenderEngine",))
SALLOC = Subscription(4242, 0, "Salloc", ((0, "SallocEngine"),), ())


def test_requests() -> None:
    assert list_request() == GOLDEN["list"]
    assert engine_request(7, b"\1\2\3") == GOLDEN["engine_request"]
    assert attach_request(replace(joining(PLAIN, Side.CLIENT), config='bundle = "/tmp/a.mrpc"\n')) == GOLDEN["attach"]
    assert detach_request(leaving(ATTACHED, Side.CLIENT)) == GOLDEN["detach"]


def test_answers() -> None:
    assert listed(GOLDEN["listed"]) == [SALLOC, ATTACHED]
    assert listed(GOLDEN["listed_nothing"]) == []


def test_an_error_is_told() -> None:
    with pytest.raises(ValueError, match=r"^Phoenix failed: no$"):
        listed(GOLDEN["failed"])


def test_an_answer_to_something_else_is_none() -> None:
    with pytest.raises(ValueError, match="what is answered of kind 0, which is none that was asked for"):
        listed(GOLDEN["other_answer"])


@pytest.mark.parametrize("name", ["listed", "listed_nothing", "failed"])
def test_an_answer_that_is_cut_short_is_none(name: str) -> None:
    whole = GOLDEN[name]
    for count in range(len(whole)):
        with pytest.raises(ValueError, match=r"ends early|utf-8"):
            listed(whole[:count])


def test_an_answer_with_more_behind_it_is_none() -> None:
    with pytest.raises(ValueError, match="1 bytes behind its end"):
        listed(GOLDEN["listed"] + b"\0")


def test_every_byte_may_be_anything() -> None:
    whole = GOLDEN["listed"]
    for at in range(len(whole)):
        for value in (0, 1, 0x7F, 0xFF):
            try:
                found = listed(whole[:at] + bytes([value]) + whole[at + 1 :])
            except ValueError:
                continue
            assert len(found) == 2


def test_lists_that_are_longer_than_the_datagram_take_no_memory() -> None:
    with pytest.raises(ValueError, match="ends early"):
        listed(GOLDEN["listed_nothing"][:8] + b"\xff" * 8)


@pytest.mark.parametrize("attached", [False, True])
def test_messages_come_back_the_way_they_went(attached: bool) -> None:
    sent, received = channels("AppNetReceiverEngine", "RpcAdapterEngine", attached=attached)
    assert received == [(end, start) for start, end in sent[::-1]]
    assert (sent[0][0], sent[-1][1]) == ("MrpcEngine", "RpcAdapterEngine")


def test_what_leaves_is_told_nothing() -> None:
    found = leaving(ATTACHED, Side.CLIENT)
    sent, received = ("MrpcEngine", "TcpRpcAdapterEngine"), ("TcpRpcAdapterEngine", "MrpcEngine")
    assert found == Addon(4242, 1, "AppNetSenderEngine", [sent], [received])
