"""An element that answers calls itself, on a real Envoy between gRPC's own client and a recording server."""

from __future__ import annotations

import grpc

from tests.e2e.conftest import ECHO, StartProxied
from tests.support.raw_grpc import RawClient, frame, string_field


def test_what_was_answered_once_is_answered_by_the_proxy(start_proxied: StartProxied) -> None:
    proxied = start_proxied("cache")
    with grpc.insecure_channel(f"127.0.0.1:{proxied.port}") as channel:
        echo = channel.unary_unary(ECHO)
        for _ in range(5):
            assert echo(string_field(1, b"hello"), timeout=10) == string_field(1, b"reply")
        assert len(proxied.server.seen) == 1
        assert echo(string_field(1, b"other"), timeout=10) == string_field(1, b"reply")
        assert len(proxied.server.seen) == 2


def test_a_reply_has_headers_message_and_trailers(start_proxied: StartProxied) -> None:
    proxied = start_proxied("cache")
    with RawClient(proxied.port) as client:
        by_server = client.call(ECHO, frame(string_field(1, b"hello")))
        by_proxy = client.call(ECHO, frame(string_field(1, b"hello")))
        assert len(proxied.server.seen) == 1
        assert by_proxy.body == by_server.body == frame(string_field(1, b"reply"))
        headers, trailers = by_proxy.blocks
        assert (":status", "200") in headers
        assert ("content-type", "application/grpc") in headers
        assert trailers == [("grpc-status", "0")]
        for size in (1, 3):  # the request in pieces, and more of them than one on a connection
            stream = client.start(ECHO)
            client.send(stream, frame(string_field(1, b"hello")), end_stream=True, frame_size=size)
            assert client.receive(stream).body == by_server.body
        assert len(proxied.server.seen) == 1
