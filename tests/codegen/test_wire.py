"""The scan of messages against protobuf's own parser, and what a splice leaves as it was."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import assume, given
from hypothesis import strategies as st

from appnet.processors.envoy.harness.calls import DeliveredBody
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.processor import Denied
from tests.codegen import fixture
from tests.codegen.fixture import FIELDS, bits_of, frame, get, judge, kept, message_class, put, writes
from tests.codegen.fuzz import fuzz
from tests.codegen.judged import STRICTER, same_number

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)


@pytest.fixture(scope="module")
def native() -> Any:
    return fixture.instance(NATIVE)


# --- writing wire format by hand ---


def varint(value: int, padding: int = 0) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(padding):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def text(number: int, content: bytes) -> bytes:
    return tag(number, BYTES) + varint(len(content)) + content


def integer(number: int, value: int) -> bytes:
    return tag(number, VARINT) + varint(value % 2**64)


# --- strategies ---

KNOWN = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 5000])
NUMBERS = st.one_of(KNOWN, st.integers(1, 2**29 - 1))
SMALL = st.binary(max_size=12)


def records(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.builds(lambda n, v: tag(n, VARINT) + v, NUMBERS, st.builds(varint, st.integers(0, 2**64 - 1))),
        st.builds(lambda n, v, p: tag(n, VARINT) + varint(v, p), NUMBERS, st.integers(0, 2**14), st.integers(0, 9)),
        st.builds(lambda n, v: tag(n, FIXED64) + v, NUMBERS, st.binary(min_size=8, max_size=8)),
        st.builds(lambda n, v: tag(n, FIXED32) + v, NUMBERS, st.binary(min_size=4, max_size=4)),
        st.builds(text, NUMBERS, SMALL),
        st.builds(text, st.sampled_from([17, 19, 3]), inner),
        st.builds(lambda n, body: tag(n, GROUP) + body + tag(n, GROUP_END), NUMBERS, inner),
    )


MESSAGES = st.recursive(st.just(b""), lambda inner: st.lists(records(inner), max_size=6).map(b"".join), max_leaves=12)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message, mostly one with a few bytes changed, cut out or put in."""
    message = bytearray(draw(MESSAGES))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(message)))
        message[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(message)


def parsed(body: bytes) -> Any:
    message = message_class()()
    message.ParseFromString(body)
    return message


@given(damaged())
def test_the_scan_reads_what_protobuf_reads(native: Any, body: bytes):
    """And what protobuf cannot parse is refused."""
    try:
        expected = parsed(body)
    except DecodeError:
        expected = None
    outcome = judge(native, frame(body))
    if isinstance(outcome, Denied) and outcome.code != 7:
        assert outcome.code == 13
        assert expected is None or any(reason in outcome.text.decode() for reason in STRICTER)
        return
    assert expected is not None, outcome
    values = kept(native).values
    for path, kind in FIELDS.items():
        theirs = bits_of(get(expected, path), kind)
        if isinstance(theirs, bytes):
            theirs = theirs[:512]
        assert same_number(kind, values.get(path, b"" if isinstance(theirs, bytes) else 0), theirs), path
    if isinstance(outcome, DeliveredBody):
        assert outcome.body == frame(body)


def value_of(kind: str) -> st.SearchStrategy[Any]:
    if kind in ("string", "bytes"):
        return st.one_of(SMALL, st.sampled_from([b"", b"x" * 127, b"y" * 128, b"z" * 20_000]))
    if kind == "bool":
        return st.booleans()
    if kind in ("float", "double"):
        return st.floats(allow_nan=False, width=32 if kind == "float" else 64)
    bits = 32 if kind.endswith("32") else 64
    return st.integers(0, 2**bits - 1) if kind.startswith("u") else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


WRITES = st.lists(st.sampled_from(list(FIELDS)), unique=True, min_size=1, max_size=6).flatmap(
    lambda paths: st.fixed_dictionaries({path: value_of(FIELDS[path]) for path in paths})
)


@given(MESSAGES, WRITES)
def test_a_splice_changes_the_written_fields_alone(native: Any, body: bytes, written: dict[str, Any]):
    try:
        expected = parsed(body)
    except DecodeError:
        assume(False)
    outcome = judge(native, frame(body), writes(written))
    assume(not isinstance(outcome, Denied))  # a name that begins with "deny", or a varint that not all parsers take
    assert isinstance(outcome, DeliveredBody)
    assert outcome.body[:5] == frame(outcome.body[5:])[:5]
    for path, value in written.items():
        put(expected, path, value)
    got = parsed(outcome.body[5:])
    assert without_nan(got) == without_nan(expected)


def without_nan(message: Any) -> bytes:
    for path in ("float", "double"):
        if math.isnan(getattr(message, path)):
            setattr(message, path, math.nan)
    # Map order and the like are not in play; unknown fields keep their order.
    serialized: bytes = message.SerializeToString(deterministic=True)
    return serialized


# --- exact bytes ---


@pytest.mark.parametrize(
    ("before", "written", "after"),
    [
        pytest.param(b"", {"name": b"new"}, text(1, b"new"), id="absent is appended"),
        pytest.param(
            text(1, b"a") + text(900, b"?") + text(1, b"bb") + integer(900, 1),
            {"name": b"c"},
            text(1, b"a") + text(900, b"?") + text(1, b"c") + integer(900, 1),
            id="the last occurrence, where it stands",
        ),
        pytest.param(
            text(17, text(1, b"a")) + text(2, b""),
            {"inner.number": -1},
            text(17, text(1, b"a") + integer(2, -1)) + text(2, b""),
            id="appended to its submessage",
        ),
        pytest.param(
            text(17, text(3, b"")) + text(17, text(1, b"a")),
            {"inner.deep.count": 1},
            text(17, text(3, integer(5000, 1))) + text(17, text(1, b"a")),
            id="to the deepest submessage that is there",
        ),
        pytest.param(b"", {"other.deep.data": b"x"}, text(19, text(3, text(7, b"x"))), id="submessages are made"),
        pytest.param(
            text(17, text(3, text(7, b"x" * 120)) + text(1, b"t")) + integer(3, 9),
            {"inner.deep.data": b"y" * 300, "inner.text": b"", "int32": -2},
            text(17, text(3, text(7, b"y" * 300)) + text(1, b"")) + integer(3, -2),
            id="lengths that take more bytes, on two levels",
        ),
        pytest.param(
            text(17, text(3, text(7, b"y" * 300))),
            {"inner.deep.data": b""},
            text(17, text(3, text(7, b""))),
            id="and fewer",
        ),
        pytest.param(
            text(17, text(3, b"")),
            {"inner.deep.count": 7, "inner.number": 1, "name": b"n"},
            text(17, text(3, integer(5000, 7)) + integer(2, 1)) + text(1, b"n"),
            id="three ends at one place",
        ),
        pytest.param(
            tag(17, BYTES) + varint(2, 3) + integer(2, 1),
            {"inner.number": 2},
            tag(17, BYTES) + varint(2) + integer(2, 2),
            id="a length with padding is written anew",
        ),
        pytest.param(
            tag(3, FIXED32) + b"\1\2\3\4", {"int32": 5}, tag(3, FIXED32) + b"\1\2\3\4" + integer(3, 5), id="type"
        ),
    ],
)
@pytest.mark.parametrize("target", fixture.BOTH)
def test_spliced_bytes(target: str, before: bytes, written: dict[str, Any], after: bytes):
    assert judge(fixture.instance(target), frame(before), writes(written)) == DeliveredBody(
        frame(after), writes(written)
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x0a", "a varint is cut off"),
        (b"\x0a\x05abcd", "a length runs past the end"),
        (b"\x0a\xff\xff\xff\xff\x0f", "a length runs past the end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a varint is too long"),
        (b"\x0a\x81\x80\x80\x80\x80\x00x", "a varint is too long"),
        (b"\x18" + b"\xff" * 9 + b"\x02", "a varint exceeds 64 bits"),
        (b"\x18" + b"\x80" * 10 + b"\x00", "a varint exceeds 64 bits"),
        (b"\x00\x01", "a field has number 0"),
        (b"\x80\x80\x80\x80\x10\x01", "a tag exceeds 32 bits"),
        (b"\x88\x80\x80\x80\x80\x00\x01", "a varint is too long"),
        (b"\x0e", "a field has an unknown wire type"),
        (b"\x0f", "a field has an unknown wire type"),
        (b"\x0c", "a group ends that did not begin"),
        (b"\x0b", "a group is not closed"),
        (b"\x0b\x14", "a group is closed by another's end"),
        (tag(900, GROUP) * 101 + tag(900, GROUP_END) * 101, "groups are nested too deep"),
        (b"\x0b" + b"\x0a\x7f" + b"\x0c", "a length runs past the end"),
        (b"\x51\0\0\0\0\0\0\0", "a fixed-size value is cut off"),
        (b"\x55\0\0\0", "a fixed-size value is cut off"),
        (text(17, b"\x0a\x02x"), "a length runs past the end"),
        (text(17, text(3, b"\x3a\x01")) + b"x", "a length runs past the end"),
        (text(17, b"\x0c"), "a group ends that did not begin"),
    ],
)
@pytest.mark.parametrize("target", fixture.BOTH)
def test_malformed_messages_are_refused_with_what_is_wrong(target: str, body: bytes, reason: str):
    chain = fixture.instance(target)
    assert judge(chain, frame(body)) == Denied(13, f"appnet: request message is malformed: {reason}".encode())
    assert kept(chain).requests == 0


@pytest.mark.parametrize(
    ("body", "path", "bits"),
    [
        (integer(3, -5), "int32", -5 % 2**64),
        (integer(3, 2**40 + 7), "int32", 7),
        (integer(3, 2**31), "int32", -(2**31) % 2**64),
        (integer(5, 2**40 + 7), "uint32", 7),
        (integer(7, 2**33 + 3), "sint32", -2 % 2**64),
        (integer(2, 2**40), "flag", 1),
        (integer(9, -3), "colour", -3 % 2**64),
        (tag(3, VARINT) + varint(5, 9), "int32", 5),
        (tag(12, FIXED32) + b"\xff\xff\xff\xff", "sfixed32", -1 % 2**64),
        (text(17, integer(2, 1)) + text(17, b"") + text(17, text(1, b"t")), "inner.number", 1),
        (tag(900, GROUP) * 100 + tag(900, GROUP_END) * 100 + integer(3, 1), "int32", 1),
        (integer(3, 1) + text(3, b"\5\6\7"), "int32", 1),
    ],
)
def test_values_as_protobuf_reads_them(native: Any, body: bytes, path: str, bits: int):
    assert isinstance(judge(native, frame(body)), DeliveredBody)
    assert kept(native).values[path] == bits
    assert bits_of(get(parsed(body), path), FIELDS[path]) == bits


def test_scanner_and_splicer_under_sanitizers_agree_with_protobuf():
    """A slice of what `make fuzz` runs for ten million frames."""
    seen = Counter(fuzz(seed=1, frames=20_000))
    assert seen["judged"] > 5_000
    assert len(seen) > 8  # and most kinds of flaws
