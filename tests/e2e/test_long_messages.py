"""Messages that are longer than most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from appnet.application.model import DEFAULT_MAX_MESSAGE, Limits
from appnet.deploy.local.machine import LocalMachine
from tests.e2e.conftest import ECHO, Proxied, StartProxied
from tests.quickstart.support import judged, sample, settings_of
from tests.support.asynchronous import asynchronous
from tests.support.lasting_calls import ANY_SIZE, TALK, TICK, WAIT, CallsServer, message, methods
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field, varint

MIB = 1 << 20
FIVE_MIB = string_field(1, b"hello") + b"\x7a" + varint(5 * MIB) + b"x" * (5 * MIB)
RESOURCE_EXHAUSTED = 8
INTERNAL = 13


def exchange(proxied: Proxied, body: bytes, method: str = ECHO) -> grpc.StatusCode | bytes:
    """What a call with the message brings: the response, or the status."""
    with grpc.insecure_channel(f"127.0.0.1:{proxied.port}", options=ANY_SIZE) as channel:
        try:
            return channel.unary_unary(method)(body, timeout=60)
        except grpc.RpcError as error:
            return error.code()


def talked(proxied: Proxied, *bodies: bytes) -> list[bytes]:
    with grpc.insecure_channel(f"127.0.0.1:{proxied.port}", options=ANY_SIZE) as channel:
        return list(channel.stream_stream(TALK)(iter(bodies), timeout=60))


@pytest.fixture(scope="module")
def server() -> Iterator[CallsServer]:
    server = CallsServer(threads=8)
    server.released.set()
    yield server
    server.close()


def test_five_mebibytes_are_judged_both_ways(start_proxied: StartProxied) -> None:
    proxied = start_proxied("response_firewall", RecordingServer(frame(FIVE_MIB)))
    writing = start_proxied("stamp", proxied)
    assert exchange(proxied, FIVE_MIB) == FIVE_MIB
    assert exchange(writing, FIVE_MIB) == FIVE_MIB
    assert len(proxied.server.seen[-1].body) == len(frame(FIVE_MIB)) + len(", stamped")


def test_a_limit_is_a_setting(start_proxied: StartProxied) -> None:
    longer = FIVE_MIB + b"\x7a" + varint(5 * MIB) + b"y" * (5 * MIB)
    assert len(longer) > DEFAULT_MAX_MESSAGE
    server = RecordingServer(frame(longer))
    assert exchange(start_proxied("stamp", server), longer) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.seen == []
    assert exchange(start_proxied("response_firewall", server, limits=Limits(16 * MIB)), longer) == longer
    with RawClient(start_proxied("stamp", server, limits=Limits(1000)).port) as client:
        assert client.call(ECHO, frame(b"\x7a" + varint(1000) + b"x" * 1000)).grpc_status == RESOURCE_EXHAUSTED


def test_what_nobody_reads_has_any_length(start_proxied: StartProxied, server: CallsServer) -> None:
    longest = message("x" * (20 * MIB))
    by_headers = start_proxied("headers", server, method=methods()[WAIT])
    assert exchange(by_headers, longest, WAIT) == longest
    counting = start_proxied("counted_messages", server, method=methods()[TALK])
    assert talked(counting, message("a"), longest, message("b"), longest) == [
        *(message("a"), longest, message("b"), longest)
    ]


def test_streams_arrive_whole_where_there_are_several_hosts(start_proxied: StartProxied, server: CallsServer) -> None:
    """A proxy that may send a call again keeps what it has sent, and gives it to modules once more."""
    counting = start_proxied("counted_messages", server, hosts=2, method=methods()[TALK])
    bodies = [message("x" * 100_000)] * 10
    assert talked(counting, *bodies) == bodies


@asynchronous
async def test_an_edit_of_the_limit_reaches_a_running_application(tmp_path: Path, target: str) -> None:
    config = sample(tmp_path)
    written = config.read_text()
    config.write_text(written + "  maxMessage: 1KiB\n")
    async with LocalMachine(settings_of(config, tmp_path, target)) as machine:
        assert (await judged(machine.url("frontend"), "x" * 2000)).status == RESOURCE_EXHAUSTED
        config.write_text(written + "  maxMessage: 4KiB\n")
        assert await machine.controller.upgrade() is not None
        assert (await judged(machine.url("frontend"), "x" * 2000)).status == 0
        assert await machine.controller.upgrade() is None


def test_what_passes_unread_still_has_to_be_whole(start_proxied: StartProxied) -> None:
    whole, short = frame(b"x" * 3000), frame(b"x" * 10)
    server = RecordingServer()
    proxied = start_proxied("counted_messages", server, method=methods()[TICK], limits=Limits(1000))
    with RawClient(proxied.port) as client:
        for reply, status in ((short + whole + short, 0), (short + whole[:-1], INTERNAL), (whole[:5], INTERNAL)):
            for size in (7, 1000, 16_000):
                server.reply, server.reply_frame_size = reply, size
                answer = client.call(TICK, short)
                assert (answer.body, answer.grpc_status) == (reply, status)


def test_a_stream_that_is_read_has_a_limit(start_proxied: StartProxied, server: CallsServer) -> None:
    proxied = start_proxied("number", server, method=methods()[TALK])
    assert talked(proxied, message("x" * (5 * MIB))) == [message("1 " + "x" * (5 * MIB))]
    with pytest.raises(grpc.RpcError) as refused:
        talked(proxied, message("x" * (9 * MIB)))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
