"""Bytes that no client library sends: none may crash Envoy or pass unjudged."""

from __future__ import annotations

import contextlib

import pytest

from tests.e2e.conftest import ECHO, Proxied
from tests.support.raw_grpc import RawClient, frame, string_field, varint

BLOCKED = string_field(1, b"test")
ALLOWED = string_field(1, b"hello")

# Bodies that are no request at all: refused, with the code that says why, and never seen by the server.
REFUSED = {
    "no message at all": (b"", 13),
    "one byte of a frame header": (b"\x00", 13),
    "four bytes of a frame header": (b"\x00\x00\x00\x00", 13),
    "a frame header and nothing": (frame(b"", length=7), 13),
    "a frame one byte short": (frame(ALLOWED[:-1], length=len(ALLOWED)), 13),
    "a frame that claims 4 GiB": (frame(ALLOWED, length=0xFFFFFFFF), 8),
    "a frame that claims 1 GiB": (frame(ALLOWED, length=1 << 30), 8),
    "the compressed flag": (frame(ALLOWED, flags=1), 13),
    "the compressed flag on plain bytes that are blocked": (frame(BLOCKED, flags=1), 13),
    "a flag that gRPC does not know": (frame(ALLOWED, flags=2), 13),
    "all flags": (frame(ALLOWED, flags=255), 13),
    "two messages on a unary call": (frame(ALLOWED) + frame(ALLOWED), 13),
    "an allowed and a blocked message on a unary call": (frame(ALLOWED) + frame(BLOCKED), 13),
    "a message and half of another": (frame(ALLOWED) + frame(BLOCKED)[:4], 13),
    "a varint of eleven bytes": (frame(b"\x10" + b"\xff" * 10 + b"\x01"), 13),
    "a varint that never ends": (frame(b"\x10" + b"\xff" * 9), 13),
    "a tag of eleven bytes": (frame(b"\xff" * 11), 13),
    "field number zero": (frame(b"\x02\x01x"), 13),
    "a length past the end": (frame(b"\x0a\x7f" + b"test"), 13),
    "a length of 4 GiB": (frame(b"\x0a" + varint(0xFFFFFFFF) + b"test"), 13),
    "a length of 2**63": (frame(b"\x0a" + varint(1 << 63) + b"test"), 13),
    "a length that wraps to a short one": (frame(b"\x0a" + varint((1 << 64) - 1) + b"test"), 13),
    "a length and nothing": (frame(b"\x0a"), 13),
    "64 bits cut short": (frame(b"\x19\x01\x02"), 13),
    "32 bits cut short": (frame(b"\x25\x01"), 13),
    "wire type six": (frame(b"\x16\x01"), 13),
    "wire type seven": (frame(b"\x17\x01"), 13),
    "a group that never ends": (frame(b"\x13" + ALLOWED), 13),
    "a group that ends as another": (frame(b"\x13\x1c" + ALLOWED), 13),
    "the end of a group that never began": (frame(b"\x14" + ALLOWED), 13),
    "groups nested 10,000 deep": (frame(b"\x13" * 10_000 + b"\x14" * 10_000), 13),
    "random bytes": (bytes(range(200, 256)) * 3, 13),
}

# Bodies that protobuf's own parsers read as the blocked key, however odd they look.
BLOCKED_FORMS = {
    "the last of two values counts": frame(ALLOWED + BLOCKED),
    "a length in more bytes than it needs": frame(b"\x0a\x84\x80\x00test"),
    "a tag in more bytes than it needs": frame(b"\x8a\x80\x00\x04test"),
    "after a value of another wire type": frame(b"\x08\x05" + BLOCKED),
    "before a value of another wire type": frame(BLOCKED + b"\x08\x05"),
    "after a group": frame(b"\x13\x08\x01\x14" + BLOCKED),
    "after a thousand unknown fields": frame(b"\x10\x01" * 1000 + BLOCKED),
}

# Bodies that protobuf's own parsers read as something else than the blocked key.
ALLOWED_FORMS = {
    "an empty message": frame(b""),
    "only a value of another wire type": frame(b"\x08\x05"),
    "the last of two values counts": frame(BLOCKED + ALLOWED),
    "the blocked key in another field": frame(string_field(2, b"test")),
    "the blocked key inside a group": frame(b"\x13" + BLOCKED + b"\x14"),
    "no valid UTF-8": frame(string_field(1, b"\xff\xfe")),
    "the blocked key and a NUL": frame(string_field(1, b"test\x00")),
}


@pytest.fixture(scope="module")
def proxied(start_module_proxied) -> Proxied:
    return start_module_proxied("firewall")


def assert_still_judging(proxied: Proxied) -> None:
    assert proxied.is_running()
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, frame(BLOCKED)).header("grpc-message") == "firewall"


@pytest.mark.parametrize("frame_size", [1, 16_000])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_is_refused_unseen(proxied: Proxied, name: str, frame_size: int) -> None:
    body, code = REFUSED[name]
    if frame_size == 1 and len(body) > 500:
        pytest.skip("one byte a frame adds nothing to a long body but time")
    seen = len(proxied.server.seen)
    with RawClient(proxied.port) as client:
        stream = client.start(ECHO)
        with contextlib.suppress(Exception):  # the stream may be answered before it is all sent
            client.send(stream, body, end_stream=True, frame_size=frame_size)
        reply = client.receive(stream)
    assert reply.grpc_status == code, reply
    assert reply.header("grpc-message")
    assert len(proxied.server.seen) == seen
    assert_still_judging(proxied)


@pytest.mark.parametrize("name", BLOCKED_FORMS)
def test_odd_forms_of_a_blocked_key_are_blocked(proxied: Proxied, name: str) -> None:
    seen = len(proxied.server.seen)
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, BLOCKED_FORMS[name]).header("grpc-message") == "firewall"
    assert len(proxied.server.seen) == seen


@pytest.mark.parametrize("name", ALLOWED_FORMS)
def test_what_is_not_the_blocked_key_arrives_as_it_was(proxied: Proxied, name: str) -> None:
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, ALLOWED_FORMS[name]).grpc_status == 0
    assert proxied.server.seen[-1].body == ALLOWED_FORMS[name]


def test_a_body_without_an_end_is_let_go_with_its_connection(proxied: Proxied) -> None:
    seen = len(proxied.server.seen)
    with RawClient(proxied.port) as client:
        for cut in (0, 1, 5, 7):
            client.send(client.start(ECHO), frame(BLOCKED)[:cut])
        client.ping()
    assert_still_judging(proxied)
    assert len(proxied.server.seen) == seen


def test_headers_of_one_mebibyte_do_not_pass_a_blocked_key(proxied: Proxied) -> None:
    seen = len(proxied.server.seen)
    # Envoy may close the connection while headers are being sent.
    with RawClient(proxied.port) as client, contextlib.suppress(OSError):
        reply = client.call(ECHO, frame(BLOCKED), [("x-large", "v" * (1 << 20))])
        assert reply.grpc_status != 0 or reply.reset is not None or reply.closed
    assert len(proxied.server.seen) == seen
    assert_still_judging(proxied)


def test_a_request_that_is_not_grpc_is_not_passed_unjudged(proxied: Proxied) -> None:
    seen = len(proxied.server.seen)
    with RawClient(proxied.port) as client:
        for content_type in ("application/json", "text/plain", "", "application/grpc-web+proto"):
            stream = client.start(ECHO, content_type=content_type)
            client.send(stream, b"test", end_stream=True)
            assert client.receive(stream).header(":status") is not None
    assert len(proxied.server.seen) == seen
    assert_still_judging(proxied)
