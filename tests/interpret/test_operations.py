import base64
import hashlib
import math
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import lz4.frame
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from appnet.interpret.compression import MOST_CONTENT
from appnet.interpret.operations import MEANINGS, Machine
from appnet.interpret.operations.text import MOST_TEXT
from appnet.interpret.random import Generator
from appnet.interpret.rpc import Environment, Message, Repeated, Rpc
from appnet.interpret.values import Value, float_bits
from appnet.language.capacity import DEFAULT_CAPACITY
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, OptionType, Type, VecType
from tests.support.match_action import METHOD

LEAST, MOST, ALL = -(2**63), 2**63 - 1, 2**64 - 1
NAN, INF = math.nan, math.inf

floats = st.floats(width=64)
ints = st.integers(LEAST, MOST)


class Loads:
    def load(self, host: int) -> int:
        return {0: 3, 2: 7}.get(host, 0)


def machine(type_: Type = INT, capacity: int = DEFAULT_CAPACITY, status: int = 0) -> Machine:
    rpc = Rpc(METHOD, rpc_id=41, authority=b"shop:80", peer=b"spiffe://a/b", deadline_ns=6_500_000_000)
    metadata = {"user": b"ann", "role": Repeated(b"user", b"a,b", b""), "grpc-status": b"7"}
    message = Message(METHOD.request, metadata=metadata, status=status, trailers={"cost": Repeated(b"1", b"2")})
    return Machine(
        Environment(lambda: 5_000_000_000, 1, 3), Generator(1, "probe"), Loads(), type_, capacity, rpc, message
    )


def run(operation: str, *operands: Value, type: Type = INT) -> Value:  # noqa: A002
    return MEANINGS[operation](machine(type), *operands)


CASES: list[tuple[str, tuple[Value, ...], Type, Value]] = [
    ("add", (MOST, 1), INT, LEAST),
    ("add", (ALL, 2), UINT, 1),
    ("add", (0.5, 0.25), FLOAT, 0.75),
    ("add", (1e308, 1e308), FLOAT, INF),
    ("sub", (LEAST, 1), INT, MOST),
    ("sub", (1, 2), UINT, ALL),
    ("sub", (INF, INF), FLOAT, NAN),
    ("mul", (LEAST, -1), INT, LEAST),
    ("mul", (2**63, 2), UINT, 0),
    ("mul", (0.0, INF), FLOAT, NAN),
    ("div", (7, 2), INT, 3),
    ("div", (-7, 2), INT, -3),
    ("div", (7, -2), INT, -3),
    ("div", (-7, -2), INT, 3),
    ("div", (7, 0), INT, 0),
    ("div", (LEAST, -1), INT, LEAST),
    ("div", (ALL, 2), UINT, MOST),
    ("div", (7, 0), UINT, 0),
    ("div", (1.0, 0.0), FLOAT, INF),
    ("div", (1.0, -0.0), FLOAT, -INF),
    ("div", (-1.0, 0.0), FLOAT, -INF),
    ("div", (0.0, 0.0), FLOAT, NAN),
    ("div", (NAN, 0.0), FLOAT, NAN),
    ("rem", (7, 3), INT, 1),
    ("rem", (-7, 3), INT, -1),
    ("rem", (7, -3), INT, 1),
    ("rem", (-7, -3), INT, -1),
    ("rem", (7, 0), INT, 0),
    ("rem", (LEAST, -1), INT, 0),
    ("rem", (ALL, 10), UINT, 5),
    ("rem", (7, 0), UINT, 0),
    ("neg", (LEAST,), INT, LEAST),
    ("neg", (1,), UINT, ALL),
    ("neg", (0.0,), FLOAT, -0.0),
    ("min", (2, 1), INT, 1),
    ("min", (1.0, NAN), FLOAT, NAN),
    ("min", (NAN, 1.0), FLOAT, NAN),
    ("min", (0.0, -0.0), FLOAT, 0.0),
    ("min", (-0.0, 0.0), FLOAT, -0.0),
    ("max", (2, 1), UINT, 2),
    ("max", (1.0, NAN), FLOAT, NAN),
    ("max", (-0.0, 0.0), FLOAT, -0.0),
    ("abs", (-3,), INT, 3),
    ("abs", (LEAST,), INT, LEAST),
    ("abs", (-0.0,), FLOAT, 0.0),
    ("eq", (NAN, NAN), BOOL, False),
    ("eq", (0.0, -0.0), BOOL, True),
    ("ne", (NAN, NAN), BOOL, True),
    ("lt", (b"a", b"\xff"), BOOL, True),
    ("lt", (b"ab", b"a"), BOOL, False),
    ("le", (NAN, 1.0), BOOL, False),
    ("gt", (True, False), BOOL, True),
    ("ge", (1, 1), BOOL, True),
    ("and", (True, False), BOOL, False),
    ("or", (True, False), BOOL, True),
    ("not", (True,), BOOL, False),
    ("to_float", (2**53 + 1,), FLOAT, 2.0**53),
    ("to_float", (ALL,), FLOAT, 2.0**64),
    ("to_int", (-1.9,), INT, -1),
    ("to_int", (1e300,), INT, MOST),
    ("to_int", (-INF,), INT, LEAST),
    ("to_int", (NAN,), INT, 0),
    ("to_int", (ALL,), INT, -1),
    ("to_uint", (-1.0,), UINT, 0),
    ("to_uint", (INF,), UINT, ALL),
    ("to_uint", (-1,), UINT, ALL),
    ("parse_int", (b"-12",), INT, -12),
    ("parse_int", (b"+0012",), INT, 12),
    ("parse_int", (b"9" * 400,), INT, MOST),
    ("parse_int", (b"-" + b"9" * 9000,), INT, LEAST),
    ("parse_int", (b"0" * 30 + b"5",), INT, 5),
    ("parse_int", (b" 1",), INT, 0),
    ("parse_int", (b"1.0",), INT, 0),
    ("parse_int", (b"",), INT, 0),
    ("parse_int", (b"1\n",), INT, 0),
    ("parse_float", (b"1.5",), FLOAT, 1.5),
    ("parse_float", (b"-0.1",), FLOAT, -0.1),
    ("parse_float", (b"+12",), FLOAT, 12.0),
    ("parse_float", (b"-0",), FLOAT, -0.0),
    ("parse_float", (b".5",), FLOAT, 0.0),
    ("parse_float", (b"5.",), FLOAT, 0.0),
    ("parse_float", (b"1e5",), FLOAT, 0.0),
    ("parse_float", (b"inf",), FLOAT, 0.0),
    ("parse_float", (b"1" + b"0" * 400,), FLOAT, INF),
    ("parse_float", (b"0." + b"0" * 400 + b"1",), FLOAT, 0.0),
    ("int_to_string", (LEAST,), STRING, b"-9223372036854775808"),
    ("uint_to_string", (ALL,), STRING, b"18446744073709551615"),
    ("float_to_string", (0.5,), STRING, b"0.500000"),
    ("float_to_string", (0.0000005,), STRING, b"0.000000"),  # the double is a little less than the half
    ("float_to_string", (2**-7,), STRING, b"0.007812"),  # exactly half: to even
    ("float_to_string", (3 * 2**-7,), STRING, b"0.023438"),
    ("float_to_string", (-0.0,), STRING, b"-0.000000"),
    ("float_to_string", (999_999_999_999_999.9,), STRING, b"999999999999999.875000"),
    ("float_to_string", (1e15,), STRING, b"1000000000000000.000000"),
    ("float_to_string", (-1e300,), STRING, b"-1000000000000000.000000"),
    ("float_to_string", (NAN,), STRING, b"nan"),
    ("float_to_string", (-INF,), STRING, b"-inf"),
    ("bool_to_string", (True,), STRING, b"true"),
    ("instant_to_float", (1_500_000_000,), FLOAT, 1.5),
    ("time_diff", (1_000_000_000, 3_500_000_000), FLOAT, -2.5),
    ("string_to_bytes", (b"\xff",), STRING, b"\xff"),
    ("bytes_to_string", (b"\xff",), STRING, b"\xff"),
    ("concat", (b"a", b"b"), STRING, b"ab"),
    ("contains", (b"abc", b""), BOOL, True),
    ("contains", (b"abc", b"bc"), BOOL, True),
    ("contains", (b"", b"a"), BOOL, False),
    ("starts_with", (b"abc", b"ab"), BOOL, True),
    ("starts_with", (b"ab", b"abc"), BOOL, False),
    ("ends_with", (b"abc", b"bc"), BOOL, True),
    ("ends_with", (b"abc", b""), BOOL, True),
    ("ends_with", (b"bc", b"abc"), BOOL, False),
    ("lower", ("AZ[@`É\xff".encode(),), STRING, "az[@`É\xff".encode()),
    ("upper", ("az{@`é\xff".encode(),), STRING, "AZ{@`é\xff".encode()),
    ("trim", (b" \t\n\v\f\r",), STRING, b""),
    ("trim", (b"\r\n a b\0 ",), STRING, b"a b\0"),
    ("trim", ("\u00a0a\x1c".encode(),), STRING, "\u00a0a\x1c".encode()),
    ("substring", (b"abcde", 1, 3), STRING, b"bc"),
    ("substring", (b"abcde", -5, 2), STRING, b"ab"),
    ("substring", (b"abcde", 3, MOST), STRING, b"de"),
    ("substring", (b"abcde", 3, 2), STRING, b""),
    ("substring", (b"abcde", 2, -1), STRING, b""),
    ("substring", (b"abcde", LEAST, MOST), STRING, b"abcde"),
    ("substring", (b"", 0, 1), STRING, b""),
    ("replace", (b"a-b-", b"-", b"::"), STRING, b"a::b::"),
    ("replace", (b"aaaa", b"aa", b"a"), STRING, b"aa"),
    ("replace", (b"aba", b"a", b""), STRING, b"b"),
    ("replace", (b"aaa", b"aaa", b""), STRING, b""),
    ("replace", (b"abc", b"", b"x"), STRING, b"abc"),
    ("replace", (b"", b"a", b"x"), STRING, b""),
    ("replace", (b"ab", b"b", b"ab"), STRING, b"aab"),
    ("split", (b"a,b,,c", b","), INT, [b"a", b"b", b"", b"c"]),
    ("split", (b",", b","), INT, [b"", b""]),
    ("split", (b"", b","), INT, [b""]),
    ("split", (b"", b""), INT, [b""]),
    ("split", (b"abc", b""), INT, [b"abc"]),
    ("split", (b"aaa", b"aa"), INT, [b"", b"a"]),
    ("join", ([b"a", b"", b"b"], b", "), STRING, b"a, , b"),
    ("join", ([b"a"], b", "), STRING, b"a"),
    ("join", ([], b", "), STRING, b""),
    ("base64_encode", (b"",), STRING, b""),
    ("base64_encode", (b"\xff\xfe\xfd\xfc",), STRING, b"//79/A=="),
    ("base64_decode", (b"//79/A==",), INT, (b"\xff\xfe\xfd\xfc",)),
    ("base64_decode", (b"",), INT, (b"",)),
    ("base64_decode", (b"//79/A",), INT, None),  # no padding
    ("base64_decode", (b"//79/B==",), INT, None),  # unused bits are set
    ("base64_decode", (b"__79_A==",), INT, None),  # the other alphabet
    ("base64_decode", (b"//79\n/A==",), INT, None),
    ("base64_decode", (b"=",), INT, None),
    ("matches", (b"user-7", b"[a-z]+-[0-9]+$"), BOOL, True),
    ("matches", (b"user-7x", b"[a-z]+-[0-9]+$"), BOOL, False),
    ("matches", ("é".encode(), b"^.$"), BOOL, True),
    ("matches", (b"\xe9", b"."), BOOL, False),
    ("string_size", ("é".encode(),), UINT, 2),
    # RFC 4231, test cases 2 and 6
    (
        "hmac",
        (b"what do ya want for nothing?", b"Jefe"),
        STRING,
        b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        "hmac",
        (b"Test Using Larger Than Block-Size Key - Hash Key First", b"\xaa" * 131),
        STRING,
        b"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    ("hash", (b"",), UINT, 0xCBF29CE484222325),
    ("hash", (b"foobar",), UINT, 0x85944171F73967E8),  # from the FNV authors' test suite
    ("vec_get", ([1, 2], 1), INT, (2,)),
    ("vec_get", ([1, 2], 2), INT, None),
    ("vec_get", ([1, 2], -1), INT, None),
    ("vec_get_or", ([1, 2], -1, 9), INT, 9),
    ("vec_get_or", ([1, 2], 0, 9), INT, 1),
    ("vec_size", ([1, 2],), UINT, 2),
    ("vec_new", (), INT, []),
    ("map_new", (), INT, {}),
    ("map_entries", ({b"b": 1, b"a": 2},), INT, [(b"b", 1), (b"a", 2)]),
    ("map_get", ({b"a": 1}, b"a"), INT, (1,)),
    ("map_get", ({b"a": 1}, b"b"), INT, None),
    ("map_get_or", ({b"a": 1}, b"b", 2), INT, 2),
    ("map_size", ({b"a": 1},), UINT, 1),
    ("pair", (1, b"a"), INT, (1, b"a")),
    ("first", ((1, b"a"),), INT, 1),
    ("second", ((1, b"a"),), INT, b"a"),
    ("now", (), INT, 5_000_000_000),
    ("wall_time", (), FLOAT, 1_700_000_005.0),
    ("rpc_id", (), UINT, 41),
    ("message_size", (), UINT, 0),
    ("method", (), STRING, b"/sample.Probe/Call"),
    ("get_metadata", (b"User",), STRING, b"ann"),
    ("get_metadata", (b"other",), STRING, b""),
    ("get_metadata", (b"\xff",), STRING, b""),
    ("get_metadata", (b"role",), STRING, b"user,a,b,"),
    ("get_metadata", (b"grpc-status",), STRING, b""),
    ("get_metadata_all", (b"Role",), VecType(STRING), [b"user", b"a,b", b""]),
    ("get_metadata_all", (b"user",), VecType(STRING), [b"ann"]),
    ("get_metadata_all", (b"other",), VecType(STRING), []),
    ("get_metadata_all", (b"grpc-status",), VecType(STRING), []),
    ("get_trailer", (b"Cost",), STRING, b"1,2"),
    ("get_trailer", (b"user",), STRING, b""),
    ("get_trailer", (b"grpc-status",), STRING, b""),
    ("authority", (), STRING, b"shop:80"),
    ("peer", (), STRING, b"spiffe://a/b"),
    ("deadline", (), FLOAT, 1.5),
    ("get_backends", (), INT, [0, 1, 2]),
    ("get_load", (2,), INT, (7, 5_000_000_000)),
    ("get_load", (9,), INT, (0, 5_000_000_000)),
    ("estimate_rif", ([2, 0, 5],), FLOAT, [7.0, 3.0, 0.0]),
    ("quantile", ([], 0.5), FLOAT, 0.0),
    ("quantile", ([3.0, 1.0, 2.0], 0.5), FLOAT, 2.0),
    ("quantile", ([3.0, 1.0, 2.0], 0.99), FLOAT, 2.0),
    ("quantile", ([3.0, 1.0, 2.0], 7.0), FLOAT, 3.0),
    ("quantile", ([3.0, 1.0, 2.0], NAN), FLOAT, 1.0),
    ("quantile", ([NAN, 0.0, -0.0, -1.0], 0.34), FLOAT, -0.0),
    ("quantile", ([NAN, 0.0, -0.0, -1.0], 1.0), FLOAT, NAN),
    ("random_choices", ([1, 2, 3], 3), INT, [1, 2, 3]),
    ("random_choices", ([1, 2, 3], 0), INT, []),
    ("random_choices", ([1, 2, 3], -1), INT, []),
    ("random_int", (5, 5), INT, 5),
    ("random_int", (5, 4), INT, 5),
]


@pytest.mark.parametrize(("operation", "operands", "type_", "expected"), CASES, ids=str)
def test_what_an_operation_gives(operation: str, operands: tuple[Value, ...], type_: Type, expected: Value):
    got = run(operation, *operands, type=type_)
    if isinstance(expected, float):
        assert float_bits(got) == float_bits(expected)
    else:
        assert got == expected
        assert type(got) is type(expected)


def test_the_last_of_very_many_parts_has_the_rest():
    parts = run("split", b"," * 70_000, b",")
    assert parts == [b""] * 65_535 + [b"," * 4_465]
    assert run("join", parts, b",") == b"," * 70_000


@pytest.mark.parametrize(
    ("operation", "operands"),
    [
        ("concat", (b"a" * MOST_TEXT, b"a")),
        ("lower", (b"a" * (MOST_TEXT + 1),)),
        ("upper", (b"a" * (MOST_TEXT + 1),)),
        ("replace", (b"a" * 10_000, b"a", b"b" * 10_000)),
        ("join", ([b"a" * 4_000_000] * 20, b"")),
        ("base64_encode", (b"a" * (MOST_TEXT // 4 * 3 + 1),)),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_no_text_is_made_that_would_fill_the_memory(operation: str, operands: tuple[Value, ...]):
    on = machine(STRING)
    assert MEANINGS[operation](on, *operands) == b""
    assert on.exhausted


def test_metadata_that_is_set_travels_with_the_message_in_hand():
    on = machine()
    MEANINGS["set_metadata"](on, b"X-User", b"bob")
    MEANINGS["set_metadata"](on, b"grpc-status", b"0")
    assert on.in_hand().metadata["x-user"] == b"bob"
    assert on.in_hand().metadata["grpc-status"] == b"7"
    assert on.in_hand().told == {"x-user": b"bob"}


def test_what_is_set_takes_the_place_of_all_values_and_may_be_empty():
    on = machine()
    MEANINGS["set_metadata"](on, b"role", b"")
    assert MEANINGS["get_metadata_all"](on, b"role") == [b""]
    MEANINGS["set_trailer"](on, b"cost", b"3")
    assert on.in_hand().trailers == {"cost": b"3"}


def test_what_is_taken_away_is_gone_with_all_its_values():
    on = machine()
    MEANINGS["set_metadata"](on, b"x", b"1")
    for key in (b"Role", b"x", b"grpc-status", b"other"):
        MEANINGS["delete_metadata"](on, key)
    assert on.in_hand().metadata == {"user": b"ann", "grpc-status": b"7"}
    assert on.in_hand().told == {}


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0.5, 0.5), (2.0, 1.5), (-1.0, 0.0), (0.0, 0.0), (NAN, 1.5), (INF, 1.5), (4e9, 1.5), (1e-9, 1e-9)],
)
def test_a_deadline_only_comes_nearer(seconds: float, left: float):
    on = machine()
    MEANINGS["set_deadline"](on, seconds)
    assert MEANINGS["deadline"](on) == left
    assert on.call().shortened == (left != 1.5)


def test_a_call_without_a_deadline_has_all_the_time_until_it_gets_one():
    on = machine()
    on.call().deadline_ns = None
    assert MEANINGS["deadline"](on) == INF
    MEANINGS["set_deadline"](on, 3.0)
    assert MEANINGS["deadline"](on) == 3.0


def test_the_size_is_that_of_a_message_that_came():
    on = machine()
    on.in_hand().size = 9
    assert MEANINGS["message_size"](on) == 9
    on.in_hand().made_here = True
    assert MEANINGS["message_size"](on) == 0


def test_status_is_that_of_the_message_in_hand():
    assert MEANINGS["status"](machine(status=14)) == 14


@given(content=st.binary(max_size=2000) | st.text("ab", max_size=2000).map(str.encode))
def test_the_library_of_lz4_reads_what_is_compressed(content: bytes):
    frame = run("compress", content, type=BYTES)
    assert lz4.frame.decompress(frame) == content
    assert run("decompress", frame, type=OptionType(BYTES)) == (content,)


def test_content_beyond_the_bound_is_not_decompressed():
    for size, expected in ((MOST_CONTENT, True), (MOST_CONTENT + 1, False)):
        frame = lz4.frame.compress(
            bytes(size), block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=False, content_checksum=True
        )
        assert (run("decompress", frame, type=OptionType(BYTES)) is not None) == expected


@given(ints, ints)
def test_int_division_goes_towards_zero_and_wraps(a: int, b: int):
    got = run("div", a, b)
    assert got == (0 if b == 0 else LEAST if (a, b) == (LEAST, -1) else int(Fraction(a, b)))


@given(ints, ints)
def test_a_remainder_is_what_division_leaves(a: int, b: int):
    rest = run("rem", a, b)
    assert rest == (0 if b == 0 else a - b * int(Fraction(a, b)))
    assert rest == 0 or (rest < 0) == (a < 0)


@given(ints, ints)
def test_arithmetic_is_that_of_64_bits(a: int, b: int):
    for operation, exact in (("add", a + b), ("sub", a - b), ("mul", a * b)):
        assert (run(operation, a, b) - exact) % 2**64 == 0
        assert LEAST <= run(operation, a, b) <= MOST


@given(st.floats(allow_nan=False, min_value=-1e15, max_value=1e15, exclude_min=True, exclude_max=True))
def test_floats_are_printed_by_their_exact_decimal_value(a: float):
    expected = Decimal(a).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    assert run("float_to_string", a, type=STRING) == format(expected, "f").encode()


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6))
def test_decimal_numbers_of_fifteen_digits_are_parsed_to_the_nearest_double(number: Decimal):
    assert run("parse_float", format(number, "f").encode(), type=FLOAT) == float(number)


@given(st.from_regex(rb"[+-]?[0-9]{1,60}(\.[0-9]{1,60})?", fullmatch=True))
def test_longer_numbers_are_parsed_to_within_rounding_of_a_few_steps(text: bytes):
    assert run("parse_float", text, type=FLOAT) == pytest.approx(float(text), rel=1e-14)


@given(st.one_of(floats, st.floats(width=32)))
def test_truncation_saturates(a: float):
    exact = 0 if math.isnan(a) else (10**400 if a > 0 else -(10**400)) if math.isinf(a) else math.trunc(a)
    assert run("to_int", a) == min(max(exact, LEAST), MOST)
    assert run("to_uint", a, type=UINT) == min(max(exact, 0), ALL)


# --- containers ---


def test_a_map_is_in_the_order_of_last_setting_and_full_drops_the_first():
    entries: dict[Value, Value] = {}
    tight = machine(capacity=2)
    for key, value in ((b"a", 1), (b"b", 2), (b"a", 3), (b"c", 4)):
        MEANINGS["map_set"](tight, entries, key, value)
    assert list(entries.items()) == [(b"a", 3), (b"c", 4)]
    MEANINGS["map_delete"](tight, entries, b"a")
    MEANINGS["map_delete"](tight, entries, b"missing")
    assert entries == {b"c": 4}


def test_setting_a_key_again_in_a_full_map_drops_nothing():
    entries: dict[Value, Value] = {b"a": 1, b"b": 2}
    MEANINGS["map_set"](machine(capacity=2), entries, b"a", 3)
    assert list(entries.items()) == [(b"b", 2), (b"a", 3)]


def test_what_came_with_more_than_a_capacity_makes_room_for_new_keys_alone():
    entries: dict[Value, Value] = {b"a": 1, b"b": 2, b"c": 3}
    tight = machine(capacity=2)
    MEANINGS["map_set"](tight, entries, b"a", 4)
    assert list(entries) == [b"b", b"c", b"a"]
    MEANINGS["map_set"](tight, entries, b"d", 5)
    assert list(entries) == [b"c", b"a", b"d"]
    assert tight.evicted == 1


def test_floats_as_keys_are_one_for_both_zeros_and_one_for_all_nans():
    entries: dict[Value, Value] = {}
    for key in (0.0, -0.0, NAN, float("nan"), -NAN):
        MEANINGS["map_set"](machine(), entries, key, 1)
    assert [float_bits(key) for key in entries] == [0, 0x7FF8 << 48]
    assert MEANINGS["map_get"](machine(), entries, float("nan")) == (1,)


def test_a_full_vec_drops_its_oldest_item():
    items = [1, 2, 3]
    tight = machine(capacity=3)
    MEANINGS["vec_append"](tight, items, 4)
    assert items == [2, 3, 4]
    MEANINGS["vec_set"](tight, items, 3, 5)
    assert items == [3, 4, 5]


def test_setting_an_item_appends_at_the_size_and_does_nothing_beyond():
    items = [1]
    for index, value in ((0, 9), (1, 2), (3, 4), (-1, 5)):
        MEANINGS["vec_set"](machine(), items, index, value)
    assert items == [9, 2]


# --- randomness ---


def test_splitmix64_draws_the_published_numbers():
    generator = Generator(0, "")
    generator._state = 1234567
    assert [generator.draw() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_elements_draw_apart_and_repeat_by_seed():
    def first(seed: int, name: str) -> int:
        return Generator(seed, name).draw()

    assert first(1, "a") == first(1, "a")
    assert len({first(1, "a"), first(2, "a"), first(1, "b")}) == 3


@given(floats, floats)
def test_random_floats_take_one_draw(a: float, b: float):
    drawn = machine(FLOAT)
    got = MEANINGS["random_float"](drawn, a, b)
    draw = Generator(1, "probe").draw()
    assert float_bits(got) == float_bits(a + ((b - a) * float(draw >> 11)) / 2.0**53)
    second = Generator(1, "probe")
    second.draw()
    assert drawn.generator.draw() == second.draw()


@given(ints, ints)
def test_random_ints_stay_in_their_range_and_take_one_draw(a: int, b: int):
    drawn = machine()
    got = MEANINGS["random_int"](drawn, a, b)
    assert a <= got < b if a < b else got == a
    second = Generator(1, "probe")
    second.draw()
    assert drawn.generator.draw() == second.draw()


@given(st.lists(st.integers(), max_size=8), st.integers(-1, 9))
def test_choices_are_items_of_different_places(items: list[int], count: int):
    before = list(items)
    got = run("random_choices", items, count)
    assert items == before
    assert len(got) == min(max(count, 0), len(items))
    assert not [item for item in got if got.count(item) > items.count(item)]


def test_choices_swap_from_the_front():
    draws = Generator(1, "probe")
    expected = [0, 1, 2, 3, 4]
    for i in range(2):
        j = i + draws.draw() % (5 - i)
        expected[i], expected[j] = expected[j], expected[i]
    assert run("random_choices", [0, 1, 2, 3, 4], 2) == expected[:2]


# --- cryptography ---


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_what_was_encrypted_is_decrypted_with_the_same_key_only(text: bytes, key: bytes):
    sealed = run("encrypt", text, key)
    assert run("decrypt", sealed, key) == (text,)
    assert run("decrypt", sealed, key + b"x") is None


def test_encryption_is_chacha20_poly1305_with_a_nonce_of_two_draws():
    draws = Generator(1, "probe")
    nonce = draws.draw().to_bytes(8, "little") + (draws.draw() % 2**32).to_bytes(4, "little")
    sealed = ChaCha20Poly1305(hashlib.sha256(b"key").digest()).encrypt(nonce, b"text", None)
    assert run("encrypt", b"text", b"key") == base64.b64encode(nonce + sealed)


@pytest.mark.parametrize("text", [b"", b"hello", b"====", b"QUJD", b"\xff\xfe", b"A" * 40, b"QUJD\n", b"Q"])
def test_what_was_never_encrypted_is_not_decrypted(text: bytes):
    assert run("decrypt", text, b"key") is None


@given(st.data())
def test_no_altered_text_is_decrypted(data: st.DataObject):
    sealed = bytearray(run("encrypt", b"pay 100", b"key"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != sealed[place]))
    assert run("decrypt", bytes(sealed), b"key") is None
