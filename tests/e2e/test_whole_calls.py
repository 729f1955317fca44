"""Calls from their beginning to their end, whatever ends them: what `open` and `end` see on a real Envoy."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from tests.e2e.conftest import ECHO, ELEMENTS, StartProxied
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field
from tests.support.serving import serve

PROTO = """syntax = "proto3";
package chat;
service Chat {
  rpc talk(stream Msg) returns (stream Msg);
  rpc gather(stream Msg) returns (Msg);
  rpc say(Msg) returns (Msg);
}
message Msg { string body = 1; }
"""
ANN = (("user", "ann"),)
ADMIN = (("user", "admin"),)


def message(body: str) -> bytes:
    return string_field(1, body.encode())


class GreetingServer:
    """Greets before it reads anything, then echoes; ``say`` does as its message says."""

    def __init__(self) -> None:
        self.calls = 0
        handlers = {
            "talk": grpc.stream_stream_rpc_method_handler(self._talk),
            "gather": grpc.stream_unary_rpc_method_handler(self._gather),
            "say": grpc.unary_unary_rpc_method_handler(self._say),
        }
        self._server, self.port = serve("chat.Chat", handlers, threads=16)

    def _talk(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls += 1
        yield message("hello")
        yield from requests

    def _gather(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        return message("+".join(request[2:].decode() for request in requests))

    def _say(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        match request[2:].decode():
            case "fail":
                context.abort(grpc.StatusCode.NOT_FOUND, "not here")
            case "sleep":
                time.sleep(1.0)
        return request

    def close(self) -> None:
        self._server.stop(None)


@pytest.fixture
def server() -> Iterator[GreetingServer]:
    it = GreetingServer()
    yield it
    it.close()


@pytest.fixture
def open_channel(start_proxied: StartProxied, server: GreetingServer, tmp_path: Path) -> Iterator:
    file = tmp_path / "chat.proto"
    file.write_text(PROTO)
    channels = []

    def open_(element: str, method: str) -> grpc.Channel:
        proxied = start_proxied(element, server=server, method=load_proto(FileSource(file)).method(method))
        channels.append(grpc.insecure_channel(f"127.0.0.1:{proxied.port}"))
        channels[-1].port = proxied.port
        return channels[-1]

    yield open_
    for it in channels:
        it.close()


def code_of(call: grpc.Call) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError):
        next(call)
    return call.code()


@pytest.mark.parametrize(("element", "metadata"), [("header_firewall", (("x-user", "mallory"),)), ("acl", ANN)])
def test_a_stream_without_a_message_is_judged(open_channel, server: GreetingServer, element: str, metadata):
    """Judged by its req, or at its beginning; either way the server sees nothing."""
    channel = open_channel(element, "talk")
    replies = channel.stream_stream("/chat.Chat/talk")(iter([]), metadata=metadata, timeout=10)
    assert code_of(replies) is grpc.StatusCode.PERMISSION_DENIED
    assert server.calls == 0
    assert list(channel.stream_stream("/chat.Chat/talk")(iter([]), metadata=ADMIN, timeout=10)) == [message("hello")]


@pytest.mark.parametrize("element", ["acl", "rate_limit", "concurrency_limit"])
def test_a_server_may_speak_first(open_channel, element: str):
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    replies = open_channel(element, "talk").stream_stream("/chat.Chat/talk")(
        iter(outbox.get, None), metadata=ADMIN, timeout=10
    )
    assert next(replies) == message("hello")
    outbox.put(message("and you"))
    assert next(replies) == message("and you")
    outbox.put(None)
    assert list(replies) == []


ELEMENTS["two_at_once"] = ELEMENTS["concurrency_limit"].replace("limit = 100", "limit = 2")


def test_a_limit_of_calls_at_once_is_exact_however_they_end(open_channel):
    channel = open_channel("two_at_once", "talk")
    talk = channel.stream_stream("/chat.Chat/talk")

    def start() -> tuple[queue.SimpleQueue[bytes | None], grpc.Call]:
        outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        return outbox, talk(iter(outbox.get, None), timeout=10)

    for ending in ("cancelled", "ended", "closed", "reset"):
        held = [start() for _ in range(2)]
        for _, call in held:
            assert next(call) == message("hello"), ending
        for outbox, call in [start() for _ in range(4)]:
            assert code_of(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
            outbox.put(None)
        for outbox, call in held:
            if ending != "ended":
                call.cancel()
            outbox.put(None)
            if ending == "ended":
                assert list(call) == []
        if ending in {"closed", "reset"}:
            _hold_and_lose(channel.port, reset=ending == "reset")
        _wait_until_free(talk)


def _hold_and_lose(port: int, *, reset: bool) -> None:
    """Two calls by a connection that breaks, in the midst of a message."""
    with RawClient(port) as client:
        for _ in range(2):
            stream = client.start("/chat.Chat/talk")
            client.send(stream, frame(message("half"))[:-2])
            if reset:
                client.reset(stream)
        client.ping()


def _wait_until_free(talk: grpc.StreamStreamMultiCallable) -> None:
    """Until the proxy has heard of the last end: two calls fit, and no third one."""
    deadline = time.monotonic() + 5
    while True:
        outboxes = [queue.SimpleQueue() for _ in range(2)]
        calls = [talk(iter(it.get, None), timeout=10) for it in outboxes]
        try:
            greetings = [next(it) for it in calls]
        except grpc.RpcError:
            assert time.monotonic() < deadline, "places are never given back"
            continue
        finally:
            for it in outboxes:
                it.put(None)
        assert greetings == [message("hello")] * 2
        assert [list(it) for it in calls] == [[], []]
        return


ELEMENTS["ends"] = """\
state:
    ended: Map<int, int>

init():
    pass

open(rpc):
    match get_metadata(rpc, 'ask'):
        '' => send(rpc, Down)
    send(err(to_string(get(ended, to_int(get_metadata(rpc, 'ask')), 0)), ABORTED), Up)

req(rpc):
    if get(rpc, 'body') == 'no':
        send(err('no', FAILED_PRECONDITION), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)

end(rpc):
    set(ended, status(rpc), get(ended, status(rpc), 0) + 1)
"""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("fine", grpc.StatusCode.OK),
        ("fail", grpc.StatusCode.NOT_FOUND),
        ("no", grpc.StatusCode.FAILED_PRECONDITION),
        ("sleep", grpc.StatusCode.CANCELLED),
    ],
)
def test_the_end_is_seen_once_with_the_status(open_channel, body: str, code: grpc.StatusCode):
    say = open_channel("ends", "say").unary_unary("/chat.Chat/say")
    for _ in range(3):
        call = say.future(message(body), timeout=10)
        if code is grpc.StatusCode.CANCELLED:
            time.sleep(0.2)
            call.cancel()
        assert call.code() is code
    assert _asked(say, code) == 3


def _asked(say: grpc.UnaryUnaryMultiCallable, code: grpc.StatusCode) -> int:
    """How many calls ended so, once the proxy has heard of them all."""
    deadline = time.monotonic() + 5
    while True:
        with pytest.raises(grpc.RpcError) as told:
            say(message(""), metadata=(("ask", str(code.value[0])),), timeout=10)
        if int(told.value.details()) >= 3 or time.monotonic() > deadline:
            return int(told.value.details())


def test_a_timeout_fires_by_itself(start_proxied: StartProxied):
    ELEMENTS["quick_timeout"] = ELEMENTS["timeout"].replace("limit = 1.0", "limit = 0.3")
    with RecordingServer() as server:
        server.answering = False
        with RawClient(start_proxied("quick_timeout", server=server).port) as client:
            reply = client.call(ECHO, frame(message("hello")))
        assert reply.grpc_status == 4
        server.wait_for(1)


def test_a_refused_retry_is_told_when_to_come_again(start_proxied: StartProxied):
    ELEMENTS["no_budget"] = ELEMENTS["retry_budget"].replace("most = 10.0", "most = 0.0")
    with RecordingServer() as server, RawClient(start_proxied("no_budget", server=server).port) as client:
        reply = client.call(ECHO, frame(message("hello")), [("grpc-previous-rpc-attempts", "1")])
    told = (reply.grpc_status, reply.header("retry-after"), reply.header("grpc-retry-pushback-ms"))
    assert told == (14, "1", "1000")
