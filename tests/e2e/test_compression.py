"""Compressed messages, and messages that nobody here can read, on a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from tests.e2e.conftest import ECHO, StartProxied
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field
from tests.support.serving import serve

PROTO = """syntax = "proto3";
package chat;
service Chat {
  rpc talk(stream Msg) returns (stream Msg);
  rpc say(Msg) returns (Msg);
}
message Msg { string body = 1; }
"""
COMPRESSIONS = [grpc.Compression.Gzip, grpc.Compression.Deflate]
LONG = "a long enough text, " * 50


def message(body: str) -> bytes:
    return string_field(1, body.encode())


class CompressingServer:
    """Echoes, and compresses what it sends."""

    def __init__(self, compression: grpc.Compression) -> None:
        self.seen: list[bytes] = []
        handlers = {
            "talk": grpc.stream_stream_rpc_method_handler(self._talk),
            "say": grpc.unary_unary_rpc_method_handler(self._say),
        }
        self._server, self.port = serve("chat.Chat", handlers, threads=4, compression=compression)

    def _talk(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for it in requests:
            self.seen.append(it)
            yield it

    def _say(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        self.seen.append(request)
        return request

    def close(self) -> None:
        self._server.stop(None)


@pytest.fixture(params=COMPRESSIONS, ids=lambda it: it.name)
def compression(request: pytest.FixtureRequest) -> grpc.Compression:
    return request.param


@pytest.fixture
def server(compression: grpc.Compression) -> Iterator[CompressingServer]:
    it = CompressingServer(compression)
    yield it
    it.close()


@pytest.fixture
def open_channel(
    start_proxied: StartProxied, server: CompressingServer, compression: grpc.Compression, tmp_path: Path
) -> Iterator:
    file = tmp_path / "chat.proto"
    file.write_text(PROTO)
    channels = []

    def open_(element: str, method: str) -> grpc.Channel:
        proxied = start_proxied(element, server=server, method=load_proto(FileSource(file)).method(method))
        channels.append(grpc.insecure_channel(f"127.0.0.1:{proxied.port}", compression=compression))
        return channels[-1]

    yield open_
    for it in channels:
        it.close()


def test_elements_read_and_write_what_is_compressed(open_channel, server: CompressingServer):
    say = open_channel("stamp+response_firewall", "say").unary_unary("/chat.Chat/say")
    assert say(message(LONG), timeout=10) == message(f"{LONG}, stamped")
    assert server.seen == [message(f"{LONG}, stamped")]


def test_elements_refuse_what_is_compressed(open_channel, server: CompressingServer):
    say = open_channel("firewall+logging", "say").unary_unary("/chat.Chat/say")
    assert say(message(LONG), timeout=10) == message(LONG)
    with pytest.raises(grpc.RpcError) as refused:
        say(message("test"), timeout=10)
    assert refused.value.code() is grpc.StatusCode.ABORTED
    assert server.seen == [message(LONG)]


@pytest.mark.parametrize("element", ["acl", "number"])
def test_compressed_streams_pass(open_channel, element: str):
    """Whether messages are read, or not even looked at."""
    talk = open_channel(element, "talk").stream_stream("/chat.Chat/talk")
    sent = [message(f"{number} {LONG}") for number in range(3)]
    got = list(talk(iter(sent), metadata=(("user", "admin"),), timeout=10))
    read = [message(f"{number + 1} {number} {LONG}") for number in range(3)]
    assert got == (read if element == "number" else sent)


UNREADABLE = frame(b"not snappy at all", flags=1)


@pytest.mark.parametrize(("reader", "code"), [("logging", 0), ("response_firewall", 13)])
@pytest.mark.parametrize("cut", [False, True])
def test_what_cannot_be_read_is_the_same_however_the_chain_is_cut(
    start_proxied: StartProxied, reader: str, code: int, cut: bool
):
    """Where it only would be noted it passes, and nobody takes it for a failure; who might refuse it does."""
    with RecordingServer(UNREADABLE) as server:
        server.reply_headers = [("grpc-encoding", "snappy")]
        if cut:
            proxied = start_proxied(reader, server=server, before=["circuit_breaker"])
        else:
            proxied = start_proxied(f"circuit_breaker+{reader}", server=server)
        with RawClient(proxied.port) as client:
            replies = [client.call(ECHO, frame(message("hello"))) for _ in range(7)]
    told = [it.grpc_status for it in replies]
    assert told == ([code] * 7 if code == 0 else [code] * 5 + [14] * 2)  # after five failures the breaker opens
    assert {it.body for it in replies} == ({UNREADABLE} if code == 0 else {b""})
