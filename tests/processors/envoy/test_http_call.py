"""Calls event by event: what is held, what passes, what is refused, whatever comes and in whatever order."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appnet.language.operations.metadata import HOST
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import wasm as wasm_harness
from appnet.processors.envoy.harness.calls import Action, CallUnderTest, DeliveredBody
from appnet.processors.envoy.targets import WASM
from appnet.processors.processor import Denied
from tests.codegen import fixture
from tests.codegen.fixture import BOTH, HEADERS, JUDGE, STATUS, WATCH, frame, kept
from tests.codegen.test_wire import text

HELLO = frame(text(1, b"hello") + text(900, b"unknown"))
GRPC = {"content-type": b"application/grpc"}
OK = {"grpc-status": b"0"}
RESPONSE = {":status": b"200", **GRPC}


@pytest.fixture(params=BOTH)
def chain(request: pytest.FixtureRequest) -> Any:
    return fixture.instance(request.param, backend_count=3, max_message=1000)


def headers(path: str, **more: bytes) -> dict[str, bytes]:
    return {":path": path.encode(), **GRPC, **more}


def forwarded(chain: Any, path: str) -> CallUnderTest:
    """A call whose request passed."""
    call: CallUnderTest = chain.call()
    assert isinstance(call.run_request(path, {}, [HELLO]), DeliveredBody)
    return call


# --- requests ---


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_a_message_in_pieces_is_held_until_its_end(chain: Any, size: int):
    call = chain.call()
    assert call.request_headers(headers(JUDGE)) is Action.HOLD
    pieces = [HELLO[at : at + size] for at in range(0, len(HELLO), size)]
    for piece in pieces:
        assert call.request_body(piece) is Action.HOLD
    assert kept(chain).requests == 0
    assert call.request_body(b"", end=True) is Action.CONTINUE
    assert call.request.passed == HELLO
    assert kept(chain).values == {"name": b"hello"}


@given(st.lists(st.integers(0, len(HELLO)), max_size=6), st.sampled_from(BOTH))
def test_splits_do_not_matter(places: list[int], target: str):
    chain, cuts = fixture.instance(target), sorted(places)
    chunks = [HELLO[a:b] for a, b in zip([0, *cuts], [*cuts, len(HELLO)], strict=True)]
    call = chain.call()
    written = {"w00": b"6869"}
    changed = frame(text(1, b"hi") + text(900, b"unknown"))
    assert call.run_request(JUDGE, written, chunks) == DeliveredBody(changed, written)
    assert call.run_response(written, chunks, 0) == DeliveredBody(changed, written)


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"", 13, b"request has no message"),
        (b"\0\0\0", 13, b"request ends within a frame header"),
        (HELLO[:-1], 13, b"request ends within its message"),
        (HELLO + b"\0", 13, b"request has more than its one message"),
        (HELLO + HELLO, 13, b"request has more than its one message"),
        (frame(b"") + HELLO, 13, b"request has more than its one message"),
        (frame(b"\x0a\x05hello", flag=1), 13, b"request message is compressed, and nothing says how"),
        (frame(b"", flag=2), 13, b"request message has an unknown frame flag"),
        (frame(b"", flag=0x80), 13, b"request message has an unknown frame flag"),
        (b"\0\xff\xff\xff\xff", 8, b"request message is longer than this proxy accepts"),
        (frame(b"x" * 1001), 8, b"request message is longer than this proxy accepts"),
        (frame(b"\x0a"), 13, b"request message is malformed: a varint is cut off"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_what_cannot_be_read_is_refused(chain: Any, body: bytes, code: int, reason: bytes, split: bool):
    call = chain.call()
    pieces = [body[at : at + 1] for at in range(len(body))] if split else [body]
    assert call.run_request(JUDGE, {}, [*pieces, b""]) == Denied(code, b"appnet: " + reason)
    assert call.request.passed == b""
    assert kept(chain).requests == 0
    # The reply passes this filter on its way out, and no handler has a part in it.
    assert call.response_headers({**RESPONSE, "grpc-status": b"13"}, end=True) is Action.CONTINUE
    call.end()
    assert kept(chain).responses == 0


@pytest.mark.parametrize("header", [b"\0\xff\xff\xff\xff", b"\1\xff\0\0\5", b"\7\0\0\0\0"])
def test_a_bad_frame_header_is_refused_before_its_message_comes(chain: Any, header: bytes):
    call = chain.call()
    call.request_headers(headers(JUDGE))
    assert call.request_body(header) is Action.REPLY


def test_the_longest_message_passes(chain: Any):
    body = frame(text(1, b"x" * 997))
    assert len(body) == 1005
    assert chain.call().run_request(JUDGE, {}, [body[:500], body[500:]]) == DeliveredBody(body, {})


def test_an_empty_message_is_a_message(chain: Any):
    assert chain.call().run_request(JUDGE, {}, [frame(b"")]) == DeliveredBody(frame(b""), {})
    assert kept(chain).requests == 1


@pytest.mark.parametrize(
    "content_type",
    [None, b"", b"application/json", b"application/grpc-web", b"application/grpc-web-text", b"application/grpcx"],
)
def test_a_request_that_is_no_grpc_is_refused(chain: Any, content_type: bytes | None):
    call = chain.call()
    sent = {":path": JUDGE.encode()} | ({} if content_type is None else {"content-type": content_type})
    assert call.request_headers(sent) is Action.REPLY
    assert call.reply is not None
    assert call.reply.code == 3


@pytest.mark.parametrize("content_type", [b"application/grpc+proto", b"application/grpc;charset=utf-8"])
def test_the_kinds_of_grpc(chain: Any, content_type: bytes):
    call = chain.call()
    assert call.request_headers({":path": JUDGE.encode(), "content-type": content_type}) is Action.HOLD


@pytest.mark.parametrize(
    "path", ["/", "/fixture.Fixture/Judg", JUDGE + "/", JUDGE + "?x", "/fixture.fixture/Judge", "x"]
)
def test_other_methods_pass_as_they_are(chain: Any, path: str):
    call = chain.call()
    assert call.request_headers({":path": path.encode()}) is Action.CONTINUE
    assert call.request_body(b"\1\2\3") is Action.CONTINUE
    assert call.request_trailers() is Action.CONTINUE
    assert call.response_headers({":status": b"500"}) is Action.CONTINUE
    assert call.response_body(b"\1", end=True) is Action.CONTINUE
    call.end()
    assert (kept(chain).requests, kept(chain).responses) == (0, 0)


def test_a_request_without_a_path_passes(chain: Any):
    assert chain.call().request_headers({}, end=True) is Action.CONTINUE


def test_trailers_do_not_end_a_grpc_request(chain: Any):
    call = chain.call()
    call.request_headers(headers(JUDGE))
    call.request_body(HELLO)
    assert call.request_trailers() is Action.REPLY
    assert kept(chain).requests == 0


def test_headers_alone_are_judged_at_once(chain: Any):
    call = chain.call()
    assert call.request_headers(headers(HEADERS)) is Action.CONTINUE
    assert call.request_body(b"anything", end=True) is Action.CONTINUE
    refused = chain.call()
    assert refused.request_headers(headers(HEADERS, deny=b"not you")) is Action.REPLY
    assert refused.reply == Denied(7, b"not you")


def test_a_refusal_carries_its_text(chain: Any):
    assert fixture.judge(chain, frame(text(1, b"deny \xff\n%"))) == Denied(7, b"denied: deny \xff\n%")


def test_a_mebibyte_of_metadata(chain: Any):
    big = b"x" * (1 << 20)
    call = chain.call()
    assert call.run_request(HEADERS, {"deny": big}, [HELLO]) == Denied(7, big)


# --- responses ---


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_held_response_waits_for_its_status(chain: Any, size: int):
    call = forwarded(chain, JUDGE)
    assert call.response_headers({**RESPONSE, "w00": b"6869"}) is Action.HOLD
    for at in range(0, len(HELLO), size):
        assert call.response_body(HELLO[at : at + size]) is Action.HOLD
    assert kept(chain).responses == 0
    assert call.response_trailers(OK) is Action.REPLACE
    assert call.response.passed == frame(text(1, b"hi") + text(900, b"unknown"))
    assert kept(chain).responses == 1


def test_a_response_may_be_refused(chain: Any):
    call = forwarded(chain, JUDGE)
    assert call.run_response({}, [frame(text(1, b"deny"))], 0) == Denied(10, b"response denied")
    assert call.response.passed == b""


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"", 13, b"response has no whole message"),
        (b"\0\0", 13, b"response has no whole message"),
        (HELLO[:-1], 13, b"response has no whole message"),
        (HELLO + b"\0", 13, b"response has more than its one message"),
        (frame(b"\x0a\x01x", flag=1), 13, b"response message is compressed, and nothing says how"),
        (frame(b"", flag=9), 13, b"response message has an unknown frame flag"),
        (b"\0\xff\xff\xff\xff", 8, b"response message is longer than this proxy accepts"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_responses_that_cannot_be_read(chain: Any, body: bytes, code: int, reason: bytes, split: bool):
    pieces = [body[at : at + 1] for at in range(len(body))] if split else [body]
    held = forwarded(chain, JUDGE)
    assert held.run_response({}, pieces, 0) == Denied(code, b"appnet: " + reason)
    assert kept(chain).responses == 0
    # Where nothing is held the response passes, and no handler runs.
    watched = forwarded(chain, WATCH)
    assert watched.run_response({}, pieces, 0) == DeliveredBody(body, {})
    assert chain.records() == []


CONTENT = text(1, b"hello") + text(900, b"unknown" * 20)


def packed(encoding: str, content: bytes = CONTENT) -> bytes:
    return gzip.compress(content, mtime=0) if encoding == "gzip" else zlib.compress(content)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_compressed_is_read_and_goes_on_as_it_came(chain: Any, encoding: str):
    body, named = frame(packed(encoding), flag=1), {"grpc-encoding": encoding.encode()}
    call = chain.call()
    assert call.run_request(JUDGE, named, [body[:9], body[9:]]) == DeliveredBody(body, named)
    assert kept(chain).values == {"name": b"hello"}
    assert call.run_response(named, [body[:9], body[9:]], 0) == DeliveredBody(body, named)
    watched = forwarded(chain, WATCH)
    assert watched.run_response(named, [body], 0) == DeliveredBody(body, named)
    assert chain.records() == [("fixture.names", ("hello", (0, 0.0))), ("fixture.blobs", b"")]


def test_what_is_compressed_and_changed_goes_on_plain(chain: Any):
    written = {"w00": b"changed".hex().encode(), "grpc-encoding": b"gzip"}
    got = chain.call().run_request(JUDGE, written, [frame(packed("gzip"), flag=1)])
    assert got == DeliveredBody(frame(text(1, b"changed") + text(900, b"unknown" * 20)), written)


@pytest.mark.parametrize(
    ("encoding", "body", "code", "reason"),
    [
        (b"snappy", b"x", 12, b"message is compressed in a way that this proxy cannot read"),
        (b"identity", b"x", 13, b"message is compressed, and nothing says how"),
        (b"gzip", b"", 13, b"message is malformed: it cannot be decompressed"),
        (b"gzip", packed("gzip")[:-1], 13, b"message is malformed: it cannot be decompressed"),
        (b"gzip", packed("gzip") + b"x", 13, b"message is malformed: it cannot be decompressed"),
        (b"gzip", packed("deflate"), 13, b"message is malformed: it cannot be decompressed"),
        (b"deflate", packed("gzip"), 13, b"message is malformed: it cannot be decompressed"),
        (b"gzip", packed("gzip", b"\0" * 100_000), 8, b"message is longer than this proxy accepts"),
        (b"gzip", packed("gzip", b"\x0a"), 13, b"message is malformed: a varint is cut off"),
    ],
)
def test_what_cannot_be_unpacked(chain: Any, encoding: bytes, body: bytes, code: int, reason: bytes):
    named, pieces = {"grpc-encoding": encoding}, [frame(body, flag=1)]
    assert chain.call().run_request(JUDGE, named, pieces) == Denied(code, b"appnet: request " + reason)
    of_response = 13 if code == 12 else code
    assert forwarded(chain, JUDGE).run_response(named, pieces, 0) == Denied(of_response, b"appnet: response " + reason)
    assert forwarded(chain, WATCH).run_response(named, pieces, 0) == DeliveredBody(pieces[0], named)
    assert chain.records() == []


@given(st.binary(max_size=400), st.integers(0, 9), st.sampled_from(["gzip", "deflate"]), st.data())
def test_unpacking_is_what_zlib_does(content: bytes, level: int, encoding: str, data: st.DataObject):
    chain = fixture.instance("native", max_message=1000)
    made = zlib.compressobj(level, wbits=31 if encoding == "gzip" else 15)
    body = bytearray(made.compress(text(1, content)) + made.flush())
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=2)):
        body[place] ^= data.draw(st.integers(0, 255))
    try:
        reader = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15)
        read = reader.decompress(bytes(body))
        whole = reader.eof and not reader.unused_data
    except zlib.error:
        whole = False
    pieces, named = [frame(bytes(body), flag=1)], {"grpc-encoding": encoding.encode()}
    got = chain.call().run_request(JUDGE, named, pieces)
    if whole and read == text(1, content):
        assert got == DeliveredBody(pieces[0], named)
        assert kept(chain).values == {"name": content}
    elif not whole:
        assert isinstance(got, Denied)


@pytest.mark.parametrize("size", [1, 6, 1000])
def test_watching_does_not_delay(chain: Any, size: int):
    call = forwarded(chain, WATCH)
    assert call.response_headers(RESPONSE) is Action.CONTINUE
    for at in range(0, len(HELLO), size):
        assert call.response_body(HELLO[at : at + size]) is Action.CONTINUE
    assert call.response.passed == HELLO
    assert chain.records() == []
    assert call.response_trailers(OK) is Action.CONTINUE
    assert chain.records() == [("fixture.names", ("hello", (0, 0.0))), ("fixture.blobs", b"")]


@pytest.mark.parametrize("with_message", [False, True])
def test_an_error_status_makes_an_error_response(chain: Any, with_message: bool):
    call = forwarded(chain, JUDGE)
    body = [HELLO] if with_message else []
    assert call.run_response({}, body, 5) == DeliveredBody(b"".join(body), {})
    assert (kept(chain).status, kept(chain).values) == (5, {})


@pytest.mark.parametrize(
    ("response", "status"),
    [
        ({":status": b"200", "grpc-status": b"7"}, 7),
        ({":status": b"200", "grpc-status": b""}, 2),
        ({":status": b"200", "grpc-status": b"-1"}, 2),
        ({":status": b"200", "grpc-status": b"999999999999"}, 2),
        ({":status": b"200"}, 2),
        ({":status": b"503"}, 14),
        ({":status": b"404"}, 12),
        ({":status": b"401"}, 16),
        ({}, 2),
    ],
)
def test_the_status_of_a_response_without_a_body(chain: Any, response: dict[str, bytes], status: int):
    call = forwarded(chain, JUDGE)
    assert call.response_headers(response, end=True) is Action.CONTINUE
    assert kept(chain).status == status


def test_a_response_that_ends_without_trailers(chain: Any):
    call = forwarded(chain, JUDGE)
    call.response_headers({":status": b"502"})
    call.response_body(b"<html>")
    assert call.response_body(b"bad gateway", end=True) is Action.CONTINUE
    assert call.response.passed == b"<html>bad gateway"
    assert kept(chain).status == 14


def test_the_status_alone_can_be_needed(chain: Any):
    call = forwarded(chain, STATUS)
    assert call.response_headers(RESPONSE) is Action.HOLD
    assert call.response_body(b"\1compressed, and nobody minds") is Action.HOLD
    assert call.response_trailers(OK) is Action.CONTINUE
    assert call.response.headers["seen"] == b"yes"
    assert forwarded(chain, STATUS).run_response({}, [], 14) == Denied(10, b"retry")


# --- the rest ---


def test_calls_in_flight_count_for_their_host(chain: Any):
    calls = [chain.call() for _ in range(3)]
    for call, host in zip(calls, (b"1", b"1", b"9"), strict=True):
        call.run_request(HEADERS, {"to": host}, [HELLO])
        assert call.request.headers[HOST] == (host if host == b"1" else b"any")
    assert kept(chain).load == 2
    calls[0].response_headers(RESPONSE)
    assert kept(chain).load == 1
    calls[1].end()
    assert kept(chain).load == 0


def test_many_calls_at_once_keep_apart(chain: Any):
    calls = [chain.call() for _ in range(200)]
    for number, call in enumerate(calls):
        call.request_headers(headers(JUDGE, w00=f"{number:04}".encode()))
    for call in calls:
        call.request_body(HELLO[:9])
    for number, call in enumerate(calls):
        assert call.request_body(HELLO[9:], end=True) is Action.REPLACE
        assert call.request.passed == frame(text(1, bytes.fromhex(f"{number:04}")) + text(900, b"unknown"))
        call.end()


def test_a_draw_depends_on_the_seed_and_the_element():
    draws = {t: fixture.instance(t, seed=7).state_dump().splitlines()[4] for t in BOTH}
    state = (7 ^ fnv1a64(b"fixture")) + 0x9E3779B97F4A7C15 & 2**64 - 1
    z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 2**64 - 1
    z = (z ^ z >> 27) * 0x94D049BB133111EB & 2**64 - 1
    assert set(draws.values()) == {str(z ^ z >> 31)}


def fnv1a64(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 2**64 - 1
    return value


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("request_headers"), st.sampled_from([JUDGE, WATCH, STATUS, HEADERS, "/x"]), st.booleans()),
        st.tuples(st.just("request_body"), st.sampled_from([b"", HELLO, HELLO[:4], HELLO[4:], b"\1"]), st.booleans()),
        st.tuples(st.just("request_trailers")),
        st.tuples(st.just("response_headers"), st.sampled_from([b"0", b"14"]), st.booleans()),
        st.tuples(st.just("response_body"), st.sampled_from([b"", HELLO, HELLO[:4], HELLO[4:], b"\1"]), st.booleans()),
        st.tuples(st.just("response_trailers"), st.sampled_from([b"0", b"14"])),
    ),
    max_size=8,
)


@given(EVENTS, st.sampled_from(BOTH))
def test_any_order_of_events_is_survived(events: list[tuple[Any, ...]], target: str):
    """And no byte of a judged method's request passes but a whole message that the handlers saw."""
    chain = shared(target)
    before = kept(chain).requests
    call = chain.call()
    path = None
    for name, *arguments in events:
        if name == "request_headers":
            path = path or arguments[0]
            call.request_headers(headers(arguments[0]), arguments[1])
        elif name == "response_headers":
            call.response_headers({**RESPONSE, "grpc-status": arguments[0]}, arguments[1])
        elif name == "response_trailers":
            call.response_trailers({"grpc-status": arguments[0]})
        else:
            getattr(call, name)(*arguments)
    if path == JUDGE and call.request.passed:
        assert kept(chain).requests == before + 1
        assert call.request.passed.startswith(HELLO)
    if path is None:
        assert call.request.passed == b""
    call.end()


_CHAINS: dict[str, Any] = {}


def shared(target: str) -> Any:
    return _CHAINS.setdefault(target, fixture.instance(target))


@pytest.mark.parametrize("wanted", range(8))
def test_the_wasm_host_exports_what_a_chain_wants_and_no_more(wanted: int):
    hooks = {
        "REQUEST_BODY": {"proxy_on_request_body", "proxy_on_request_trailers"},
        "RESPONSE": {"proxy_on_response_headers"},
        "RESPONSE_END": {"proxy_on_response_body", "proxy_on_response_trailers"},
    }
    always = {"proxy_on_tick", "proxy_on_http_call_response", "proxy_on_done"}  # for metrics, which all chains send
    source, expected = (fixture.HERE / "fixture.c").read_text(), always
    for bit, (name, exported) in enumerate(hooks.items()):
        on = wanted >> bit & 1
        source = source.replace(f"#define APPNET_WANTS_{name} 1", f"#define APPNET_WANTS_{name} {on}")
        expected = expected | exported if on else expected
    chain = wasm_harness.ModuleUnderTest(build(source, WASM))
    optional = {"proxy_on_delete", *always}.union(*hooks.values())
    assert chain.exported & optional == expected
