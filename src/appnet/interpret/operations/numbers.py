"""Arithmetic, comparison and logic."""

from __future__ import annotations

import math

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.values import Value, wrap
from appnet.language.types import FLOAT

MEANINGS = Meanings()


@MEANINGS
def _add(machine: Machine, a: Value, b: Value) -> Value:
    return wrap(a + b, machine.type)


@MEANINGS
def _sub(machine: Machine, a: Value, b: Value) -> Value:
    return wrap(a - b, machine.type)


@MEANINGS
def _mul(machine: Machine, a: Value, b: Value) -> Value:
    return wrap(a * b, machine.type)


@MEANINGS
def _div(machine: Machine, a: Value, b: Value) -> Value:
    if machine.type == FLOAT:
        return _divide(a, b)
    if b == 0:
        return 0
    quotient = abs(a) // abs(b)
    return wrap(quotient if (a < 0) == (b < 0) else -quotient, machine.type)


@MEANINGS
def _rem(_machine: Machine, a: int, b: int) -> int:
    if b == 0:
        return 0
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _divide(a: float, b: float) -> float:
    """IEEE 754 division, which Python refuses for a divisor of zero."""
    if b != 0.0:
        return a / b
    if a == 0.0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


@MEANINGS
def _neg(machine: Machine, a: Value) -> Value:
    return wrap(-a, machine.type)


@MEANINGS
def _min(_machine: Machine, a: Value, b: Value) -> Value:
    if a != a or b != b:  # noqa: PLR0124 -- only NaN differs from itself
        return math.nan
    return min(a, b)


@MEANINGS
def _max(_machine: Machine, a: Value, b: Value) -> Value:
    if a != a or b != b:  # noqa: PLR0124
        return math.nan
    return max(a, b)


@MEANINGS
def _abs(machine: Machine, a: Value) -> Value:
    return wrap(abs(a), machine.type)


@MEANINGS
def _eq(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a == b)


@MEANINGS
def _ne(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a != b)


@MEANINGS
def _lt(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a < b)


@MEANINGS
def _le(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a <= b)


@MEANINGS
def _gt(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a > b)


@MEANINGS
def _ge(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a >= b)


@MEANINGS
def _and(_machine: Machine, a: bool, b: bool) -> bool:
    return a and b


@MEANINGS
def _or(_machine: Machine, a: bool, b: bool) -> bool:
    return a or b


@MEANINGS
def _not(_machine: Machine, a: bool) -> bool:
    return not a
