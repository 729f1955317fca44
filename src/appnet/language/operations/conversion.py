"""Values of one type as values of another."""

from __future__ import annotations

from appnet.language.expressions import mismatch, type_of
from appnet.language.operations.built_in import BuiltIn, Chapter, Resolver
from appnet.language.operations.call import Call
from appnet.language.operations.declaration import Operation
from appnet.language.typed import Operate, Value
from appnet.language.types import FLOAT, INSTANT, INT, NUMERIC, STRING, UINT, Type


def _to_number(want: Type, parse: str) -> Resolver:
    def resolve(call: Call) -> Value:
        call.count(1)
        value = call.any(0)
        type_ = type_of(value, call.span(0))
        if type_ == want:
            return value
        if type_ == STRING:
            return Operate(parse, (value,), want)
        if type_ in NUMERIC:
            return Operate(f"to_{want}", (value,), want)
        if (type_, want) == (INSTANT, FLOAT):
            return Operate("instant_to_float", (value,), FLOAT)
        raise mismatch(type_, want, call.span(0))

    return resolve


def _to_uint(call: Call) -> Value:
    call.count(1)
    value = call.any(0)
    type_ = type_of(value, call.span(0))
    if type_ == STRING:
        value, type_ = Operate("parse_int", (value,), INT), INT
    if type_ not in NUMERIC:
        raise mismatch(type_, UINT, call.span(0))
    return value if type_ == UINT else Operate("to_uint", (value,), UINT)


def _to_string(call: Call) -> Value:
    call.count(1)
    return call.text(0)


_TO_FLOAT = BuiltIn(
    "to_float",
    _to_number(FLOAT, "parse_float"),
    (
        Operation(
            "to_float",
            "(int | uint) -> float",
            "to_float(number)",
            "The nearest double.",
            "n = 3\nto_float(n) / 2 == 1.5",
            opaque=True,
        ),
        # d = the first 18 digits after leading zeros, as an integer made double; further digits count as 0. d is then
        # multiplied, or divided, by 10**22 and at last by 10**rest until the point stands where the text has it.
        Operation(
            "parse_float",
            "(string) -> float",
            "to_float(text)",
            "The text as a decimal number, [+-]digits[.digits], by its first 18 significant digits; "
            "0.0 if it is not one.",
            "to_float('2.5') == 2.5",
            opaque=True,
        ),
    ),
)
_TO_INT = BuiltIn(
    "to_int",
    _to_number(INT, "parse_int"),
    (
        Operation(
            "to_int",
            "(float | uint) -> int",
            "to_int(number)",
            "Truncated; saturates for floats out of range, NaN is 0; uint keeps its bits.",
            "to_int(-2.9) == -2",
        ),
        Operation(
            "parse_int",
            "(string) -> int",
            "to_int(text)",
            "The text as a decimal number, [+-]digits, saturating; 0 if it is not one.",
            "to_int('42') + to_int('forty-two') == 42",
            opaque=True,
        ),
    ),
    elsewhere=("int",),
)
_TO_UINT = BuiltIn(
    "to_uint",
    _to_uint,
    (
        Operation(
            "to_uint",
            "(float | int) -> uint",
            "to_uint(number)",
            "Truncated; saturates for floats out of range, NaN is 0; int keeps its bits.",
            "to_uint(2.9) == 2",
        ),
    ),
)
_TO_STRING = BuiltIn(
    "to_string",
    _to_string,
    (
        Operation(
            "int_to_string", "(int) -> string", "to_string(a)", "Decimal digits.", "to_string(-7) == '-7'", opaque=True
        ),
        Operation(
            "uint_to_string",
            "(uint) -> string",
            "to_string(a)",
            "Decimal digits.",
            "to_string(size('abc')) == '3'",
            opaque=True,
        ),
        # '-' stands wherever the sign bit is set, zeros included; 1e15 and more reads 1000000000000000.000000.
        Operation(
            "float_to_string",
            "(float) -> string",
            "to_string(a)",
            "Six decimals, the exact value rounded half to even, saturating at 1e15; inf, -inf or nan.",
            "to_string(0.5) == '0.500000'",
            opaque=True,
        ),
        Operation(
            "bool_to_string",
            "(bool) -> string",
            "to_string(a)",
            "true or false.",
            "to_string(1 < 2) == 'true'",
            opaque=True,
        ),
        Operation(
            "bytes_to_string",
            "(bytes) -> string",
            "to_string(a)",
            "The same bytes, whether or not they are UTF-8.",
            "set(rpc, 'blob', 'abc')\nto_string(get(rpc, 'blob')) == 'abc'",
        ),
    ),
    elsewhere=("str", "string"),
)

CHAPTERS = (
    Chapter(
        "Conversion",
        (
            _TO_FLOAT,
            _TO_INT,
            _TO_UINT,
            _TO_STRING,
            Operation(
                "instant_to_float",
                "(Instant) -> float",
                "t (where a float is expected)",
                "The nanoseconds as a double, divided by 1e9.",
                "to_float(current_time()) == 5.0",
                opaque=True,
            ),
            Operation(
                "string_to_bytes",
                "(string) -> bytes",
                "s (where bytes are expected)",
                "The same bytes.",
                "s = 'abc'\nset(rpc, 'blob', s)\nsize(get(rpc, 'blob')) == 3",
            ),
        ),
    ),
)
