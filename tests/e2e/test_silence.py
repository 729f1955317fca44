"""Calls on which nothing passes for long end where a limit says so, and nowhere else."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import grpc
import pytest

from appnet.application.model import Limits
from tests.e2e.conftest import StartProxied
from tests.support.lasting_calls import TALK, WAIT, CallsServer, message, methods

IDLE_SECONDS = 1.0


@pytest.fixture
def server() -> Iterator[CallsServer]:
    server = CallsServer(threads=8)
    yield server
    server.close()


def test_a_silent_call_ends_by_its_limit_and_others_live(start_proxied: StartProxied, server: CallsServer) -> None:
    limits = Limits(idle=IDLE_SECONDS)
    proxied = start_proxied("headers", server, method=methods()[TALK], limits=limits)
    with grpc.insecure_channel(f"127.0.0.1:{proxied.port}") as channel:
        unlimited = channel.unary_unary(WAIT).future(message("of another method"), timeout=60)
        assert ended(channel, 0) is grpc.StatusCode.UNAVAILABLE
        assert ended(channel, 3) is grpc.StatusCode.INTERNAL  # what has begun can but be reset
        assert not unlimited.done()
        server.released.set()
        assert unlimited.result() == message("of another method")
    assert sum(proxied.stats("downstream_rq_idle_timeout").values()) == 2


def ended(channel: grpc.Channel, count: int) -> grpc.StatusCode:
    """How a call ends that is silent after so many messages."""
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    talk = channel.stream_stream(TALK)(iter(outbox.get, None), timeout=60)
    for number in range(count):
        outbox.put(message(str(number)))
        assert next(talk) == message(str(number))
    with pytest.raises(grpc.RpcError):
        next(talk)
    outbox.put(None)
    return talk.code()
