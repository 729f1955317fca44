"""Streams through a real Envoy, between gRPC's own client and server."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.targets import NATIVE
from tests.e2e.conftest import Proxied, StartProxied
from tests.support.raw_grpc import string_field
from tests.support.serving import serve

PROTO = """syntax = "proto3";
package chat;
service Chat {
  rpc talk(stream Msg) returns (stream Msg);
  rpc gather(stream Msg) returns (Msg);
  rpc list(Msg) returns (stream Msg);
}
message Msg { string body = 1; }
"""


def message(body: str) -> bytes:
    return string_field(1, body.encode())


@dataclass
class ChatServer:
    """Echoes each message of ``talk``, joins those of ``gather``, and answers ``list`` with the words asked for."""

    seen: list[bytes] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        handlers = {
            "talk": grpc.stream_stream_rpc_method_handler(self._talk),
            "gather": grpc.stream_unary_rpc_method_handler(self._gather),
            "list": grpc.unary_stream_rpc_method_handler(self._list),
        }
        self._server, self.port = serve("chat.Chat", handlers)

    def _talk(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls += 1
        for request in requests:
            self.seen.append(request)
            yield request

    def _gather(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        return message("+".join(request[2:].decode() for request in requests))

    def _list(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls += 1
        for word in request[2:].decode().split():
            if word == "gone":
                context.abort(grpc.StatusCode.NOT_FOUND, "gone")
            yield message(word)

    def close(self) -> None:
        self._server.stop(None)


@dataclass
class Chat:
    proxied: Proxied
    server: ChatServer
    channel: grpc.Channel


@pytest.fixture
def open_chat(start_proxied: StartProxied, tmp_path: Path) -> Iterator:
    file = tmp_path / "chat.proto"
    file.write_text(PROTO)
    opened: list[Chat] = []

    def open_(method: str) -> Chat:
        server = ChatServer()
        proxied = start_proxied("number", server=server, method=load_proto(FileSource(file)).method(method))
        opened.append(Chat(proxied, server, grpc.insecure_channel(f"127.0.0.1:{proxied.port}")))
        return opened[-1]

    yield open_
    for chat in opened:
        chat.channel.close()
        chat.server.close()


def test_each_message_is_judged_as_it_comes(open_chat):
    chat = open_chat("talk")
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    replies = chat.channel.stream_stream("/chat.Chat/talk")(iter(outbox.get, None), timeout=10)
    for number, word in enumerate(["hello", "x" * 100_000, "", "bye"], 1):
        outbox.put(message(word))  # and only then the next: what is whole does not wait
        assert next(replies) == message(f"{number} {word}")
    outbox.put(None)
    assert list(replies) == []
    assert replies.code() is grpc.StatusCode.OK


def test_a_refused_first_message_never_reaches_the_server(open_chat):
    chat = open_chat("talk")
    replies = chat.channel.stream_stream("/chat.Chat/talk")(iter([message("bad")]), timeout=10)
    with pytest.raises(grpc.RpcError):
        next(replies)
    assert (replies.code(), replies.details()) == (grpc.StatusCode.PERMISSION_DENIED, "after bad")
    assert chat.server.calls == 0


def test_a_refused_message_ends_the_call(open_chat, target: str):
    chat = open_chat("talk")
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    replies = chat.channel.stream_stream("/chat.Chat/talk")(iter(outbox.get, None), timeout=10)
    outbox.put(message("hello"))
    assert next(replies) == message("1 hello")
    outbox.put(message("bad"))
    with pytest.raises(grpc.RpcError):
        next(replies)
    outbox.put(None)
    assert chat.server.seen == [message("1 hello")]
    if target == NATIVE:
        assert (replies.code(), replies.details()) == (grpc.StatusCode.PERMISSION_DENIED, "after hello")
    else:  # proxy-wasm can but reset a response that has begun
        assert replies.code() is not grpc.StatusCode.OK


def test_a_refused_response_ends_the_call(open_chat, target: str):
    chat = open_chat("list")
    replies = chat.channel.unary_stream("/chat.Chat/list")(message("one secret three"), timeout=10)
    with pytest.raises(grpc.RpcError):
        list(replies)
    if target == NATIVE:
        assert (replies.code(), replies.details()) == (grpc.StatusCode.OUT_OF_RANGE, "no secrets")
    else:
        assert replies.code() is not grpc.StatusCode.OK


def test_an_error_at_the_end_passes_the_handlers(open_chat):
    chat = open_chat("list")
    replies = chat.channel.unary_stream("/chat.Chat/list")(message("two gone"), timeout=10)
    assert next(replies) == message("1")
    assert next(replies) == message("two")
    with pytest.raises(grpc.RpcError):
        next(replies)
    assert (replies.code(), replies.details()) == (grpc.StatusCode.UNAVAILABLE, "nothing there")


def test_many_requests_and_one_response(open_chat):
    chat = open_chat("gather")
    gather = chat.channel.stream_unary("/chat.Chat/gather")
    assert gather(iter([message(word) for word in "abc"]), timeout=10) == message("1 a+2 b+3 c")
    assert gather(iter([]), timeout=10) == message("")
    with pytest.raises(grpc.RpcError) as refused:
        gather(iter([message("a"), message("bad")]), timeout=10)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError) as refused:
        gather(iter([message("a secret")]), timeout=10)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.OUT_OF_RANGE, "no secrets")
