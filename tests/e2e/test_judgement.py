"""What the server sees, and what the caller gets, when a chain on a real Envoy judges RPCs."""

from __future__ import annotations

import pytest

from appnet.language.statuses import STATUS_CODES
from tests.e2e.conftest import ECHO, Proxied
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field

ALLOWED = frame(string_field(1, b"hello"))
BLOCKED = frame(string_field(1, b"test"))
# Fields that echo.Msg does not declare, of every wire type, on both sides of the one that is read.
UNKNOWN = (
    b"\x10\x96\x01"  # field 2, varint
     b"\x19" + b"\x01\x02\x03\x04\x05\x06\x07\x08"  # field 3, 64 bits
    + string_field(1, b"hello")
    + string_field(15, b"\x00\xff\xfe")
    + b"\x25\x01\x02\x03\x04"  # field 4, 32 bits
)  # fmt: skip


@pytest.fixture
def proxied(start_proxied) -> Proxied:
    return start_proxied("firewall")


def test_a_denial_is_a_trailers_only_reply_and_the_server_sees_nothing(proxied: Proxied) -> None:
    with RawClient(proxied.port) as client:
        reply = client.call(ECHO, BLOCKED)
        assert reply.is_trailers_only
        assert (reply.grpc_status, reply.header("grpc-message")) == (10, "firewall")
        assert reply.header(":status") == "200"
        assert reply.header("content-type") == "application/grpc"
        # A later request on the same connection arrives, so the denied one would have arrived before it.
        assert client.call(ECHO, ALLOWED).grpc_status == 0
    assert [request.body for request in proxied.server.seen] == [ALLOWED]


def test_every_code_and_any_text_reaches_the_caller(start_proxied) -> None:
    proxied = start_proxied("codes")
    with RawClient(proxied.port) as client:
        for name, code in list(STATUS_CODES.items())[1:]:
            for written in (name, str(code)):
                reply = client.call(ECHO, frame(string_field(1, written.encode())))
                assert (reply.grpc_status, reply.header("grpc-message")) == (code, "100%25 n%C3%A9%0A%FF")
    assert proxied.server.seen == []


def test_binary_metadata_is_base64_text(start_proxied) -> None:
    proxied = start_proxied("binary_header")
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, ALLOWED, [("trace-bin", "AP//")]).grpc_status == 0
    assert [request.header("copy-bin") for request in proxied.server.seen] == ["AP//"]


def test_headers_of_a_request_wait_for_the_verdict(proxied: Proxied) -> None:
    with RawClient(proxied.port) as client:
        denied, allowed = client.start(ECHO, [("x-id", "denied")]), client.start(ECHO, [("x-id", "allowed")])
        client.send(denied, BLOCKED[:7])
        client.send(allowed, ALLOWED[:7])
        client.ping()
        client.ping()
        assert proxied.server.seen == []
        client.send(denied, BLOCKED[7:], end_stream=True)
        assert client.receive(denied).grpc_status == 10
        client.send(allowed, ALLOWED[7:], end_stream=True)
        assert client.receive(allowed).grpc_status == 0
    assert [request.header("x-id") for request in proxied.server.seen] == ["allowed"]


@pytest.mark.parametrize("frame_size", [1, 2, 3, 7, 16_000])
def test_allowed_messages_arrive_byte_for_byte(proxied: Proxied, frame_size: int) -> None:
    message = frame(UNKNOWN)
    proxied.server.reply = frame(UNKNOWN + string_field(9, b"reply"))
    proxied.server.reply_frame_size = frame_size
    with RawClient(proxied.port) as client:
        stream = client.start(ECHO)
        client.send(stream, message, end_stream=True, frame_size=frame_size)
        reply = client.receive(stream)
    assert proxied.server.seen[-1].body == message
    assert (reply.grpc_status, reply.body) == (0, proxied.server.reply)


def test_a_message_may_pause_for_two_pings_at_any_byte(proxied: Proxied) -> None:
    for cut in range(len(ALLOWED) + 1):
        with RawClient(proxied.port) as client:
            stream = client.start(ECHO)
            client.send(stream, ALLOWED[:cut])
            client.ping()
            client.ping()
            client.send(stream, ALLOWED[cut:], end_stream=True)
            assert client.receive(stream).grpc_status == 0
        assert proxied.server.seen[-1].body == ALLOWED


def test_a_large_message_arrives_whole(proxied: Proxied) -> None:
    message = frame(string_field(1, b"hello") + string_field(2, bytes(range(256)) * 8000))
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, message).grpc_status == 0
    assert proxied.server.seen[-1].body == message


def test_another_method_passes_untouched(proxied: Proxied) -> None:
    with RawClient(proxied.port) as client:
        assert client.call("/echo.EchoService/other", BLOCKED).grpc_status == 0
    assert proxied.server.seen[-1].body == BLOCKED


def test_an_error_of_the_server_reaches_the_caller(proxied: Proxied) -> None:
    for reply in (b"", frame(string_field(1, b"partial"))):
        proxied.server.status, proxied.server.reply = 5, reply
        with RawClient(proxied.port) as client:
            answer = client.call(ECHO, ALLOWED)
        assert (answer.grpc_status, answer.header("grpc-message"), answer.body) == (5, "server says no", reply)


def test_a_written_field_replaces_only_itself(start_proxied) -> None:
    proxied = start_proxied("stamp")
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, frame(UNKNOWN)).grpc_status == 0
    seen = proxied.server.seen[-1]
    assert seen.body == frame(UNKNOWN.replace(string_field(1, b"hello"), string_field(1, b"hello, stamped")))
    assert seen.header("x-stamp") == "hello"
    assert seen.header("content-length") in {None, str(len(seen.body))}


def test_a_chain_that_reads_no_body_does_not_wait_for_it(start_proxied) -> None:
    proxied = start_proxied("header_firewall")
    with RawClient(proxied.port) as client:
        waiting = client.start(ECHO, [("x-user", "anna")])
        client.ping()
        proxied.server.wait_for(1)
        client.send(waiting, ALLOWED, end_stream=True)
        assert client.receive(waiting).grpc_status == 0
        assert client.receive(client.start(ECHO, [("x-user", "mallory")])).grpc_status == 7
    assert [request.header("x-user") for request in proxied.server.seen] == ["anna"]


@pytest.mark.parametrize("reply_frame_size", [1, 16_000])
def test_a_response_is_judged_before_the_caller_sees_it(start_proxied, reply_frame_size: int) -> None:
    proxied = start_proxied("response_firewall", RecordingServer(frame(string_field(1, b"secret"))))
    proxied.server.reply_frame_size = reply_frame_size
    with RawClient(proxied.port) as client:
        reply = client.call(ECHO, ALLOWED)
        assert (reply.grpc_status, reply.header("grpc-message"), reply.body) == (7, "no secrets", b"")
        proxied.server.reply = frame(string_field(1, b"public"))
        assert client.call(ECHO, ALLOWED).body == proxied.server.reply
