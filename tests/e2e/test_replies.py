"""An element that answers calls itself, on a real Envoy between gRPC's own client and a recording server."""

from __future__ import annotations

import grpc
import pytest

from appnet.processors.envoy.targets import NATIVE
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


def test_a_reply_passes_the_modules_before_it_as_a_response(start_proxied: StartProxied) -> None:
    proxied = start_proxied("parrot", before=["signature", "header_firewall"])
    with RawClient(proxied.port) as client:
        by_proxy = client.call(ECHO, frame(string_field(1, b"hello")))
        assert by_proxy.body == frame(string_field(1, b"hello, signed"))
        assert by_proxy.header("x-status") == "0"
        assert by_proxy.blocks[1] == [("grpc-status", "0")]
        refused = client.call(ECHO, frame(string_field(1, b"hello")), [("x-user", "mallory")])
        assert (refused.grpc_status, refused.body) == (7, b"")
        assert proxied.server.seen == []
        by_server = client.call(ECHO, frame(string_field(1, b"hello")), [("x-ask", "yes")])
        assert by_server.body == frame(string_field(1, b"reply, signed"))


def test_modules_before_it_may_refuse_a_reply(start_proxied: StartProxied) -> None:
    proxied = start_proxied("parrot", before=["response_firewall", "signature", "response_firewall"])
    with RawClient(proxied.port) as client:
        refused = client.call(ECHO, frame(string_field(1, b"secret")))
        assert (refused.grpc_status, refused.header("grpc-message"), refused.body) == (7, "no secrets", b"")
        passed = client.call(ECHO, frame(string_field(1, b"hello")))
        assert passed.body == frame(string_field(1, b"hello, signed"))


def test_modules_behind_it_see_nothing_of_a_reply(start_proxied: StartProxied) -> None:
    proxied = start_proxied("parrot", before=["parrot"])
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, frame(string_field(1, b"hello"))).body == frame(string_field(1, b"hello"))
    proxied = start_proxied("signature", before=["parrot"])
    with RawClient(proxied.port) as client:
        by_proxy = client.call(ECHO, frame(string_field(1, b"hello")))
        assert (by_proxy.body, by_proxy.header("x-status")) == (frame(string_field(1, b"hello")), None)
    assert proxied.server.seen == []


def test_a_reply_is_as_long_as_it_is(start_proxied: StartProxied) -> None:
    proxied = start_proxied("parrot")
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{proxied.port}", options) as channel:
        echo = channel.unary_unary(ECHO)
        for size in (0, 1, 100_000, 5 << 20):
            asked = string_field(1, b"x" * size)
            assert echo(asked, timeout=20) == asked
    assert proxied.server.seen == []


@pytest.mark.parametrize("status", [0, 5])
def test_a_server_cannot_mark_its_responses_as_replies(start_proxied: StartProxied, status: int) -> None:
    proxied = start_proxied("parrot")
    proxied.server.reply_headers = [("x-appnet-reply", "1")]
    proxied.server.status = status
    if status:
        proxied.server.reply = b""
    with RawClient(proxied.port) as client:
        answer = client.call(ECHO, frame(string_field(1, b"hello")), [("x-ask", "yes")])
        assert (answer.grpc_status, answer.body) == (status, proxied.server.reply)
        assert answer.is_trailers_only == bool(status)


def test_envoy_lets_no_wasm_module_reply_by_itself(start_proxied: StartProxied, target: str) -> None:
    """Where this fails, Envoy has learnt to, and the listener's Lua filter is no longer needed."""
    proxied = start_proxied("parrot", lets_reply=False)
    with RawClient(proxied.port) as client:
        answer = client.call(ECHO, frame(string_field(1, b"hello")))
        if target == NATIVE:
            assert (answer.grpc_status, answer.body) == (0, frame(string_field(1, b"hello")))
        else:
            assert (answer.grpc_status, answer.is_trailers_only) == (12, True)
            assert answer.header("grpc-message") == "appnet: this listener lets no wasm module reply"
            assert answer.header("x-appnet-reply") is None
