"""Values of one type as values of another."""

from __future__ import annotations

import math
import re

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.values import wrap_int, wrap_uint

_INT_MIN, _INT_MAX, _UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_SATURATED = 10**15
_INTEGER = re.compile(rb"[+-]?[0-9]+")
_DECIMAL = re.compile(rb"([+-]?)([0-9]+)(?:\.([0-9]+))?")
_SIGNIFICANT = 18
_TEN_STEPS = 22  # 10**22 is the greatest power of ten that is a double

MEANINGS = Meanings()


@MEANINGS
def _to_float(_machine: Machine, a: int) -> float:
    return float(a)


@MEANINGS
def _to_int(_machine: Machine, a: float) -> int:
    return _saturate(a, _INT_MIN, _INT_MAX) if isinstance(a, float) else wrap_int(a)


@MEANINGS
def _to_uint(_machine: Machine, a: float) -> int:
    return _saturate(a, 0, _UINT_MAX) if isinstance(a, float) else wrap_uint(a)


def _saturate(a: float, low: int, high: int) -> int:
    if math.isnan(a):
        return 0
    if math.isinf(a):
        return high if a > 0 else low
    return min(max(int(a), low), high)


@MEANINGS
def _parse_int(_machine: Machine, text: bytes) -> int:
    if not _INTEGER.fullmatch(text):
        return 0
    digits = text.lstrip(b"+-").lstrip(b"0")[:20]  # 20 digits saturate already
    value = int(digits or b"0")
    return min(max(-value if text.startswith(b"-") else value, _INT_MIN), _INT_MAX)


@MEANINGS
def _parse_float(_machine: Machine, text: bytes) -> float:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return 0.0
    sign, whole, fraction = match[1], match[2], match[3] or b""
    digits = (whole + fraction).lstrip(b"0")
    value = float(int(digits[:_SIGNIFICANT] or b"0"))
    exponent = max(len(digits) - _SIGNIFICANT, 0) - len(fraction)
    while exponent != 0:
        step = min(abs(exponent), _TEN_STEPS)
        value = value * float(10**step) if exponent > 0 else value / float(10**step)
        exponent -= step if exponent > 0 else -step
    return -value if sign == b"-" else value


@MEANINGS
def _int_to_string(_machine: Machine, a: int) -> bytes:
    return b"%d" % a


@MEANINGS
def _uint_to_string(_machine: Machine, a: int) -> bytes:
    return b"%d" % a


@MEANINGS
def _float_to_string(_machine: Machine, a: float) -> bytes:
    if math.isnan(a) or math.isinf(a):
        return str(a).encode()
    return b"%.6f" % (math.copysign(min(abs(a), _SATURATED), a))


@MEANINGS
def _bool_to_string(_machine: Machine, a: bool) -> bytes:
    return b"true" if a else b"false"


@MEANINGS
def _instant_to_float(_machine: Machine, a: int) -> float:
    return float(a) / 1e9


@MEANINGS
def _string_to_bytes(_machine: Machine, a: bytes) -> bytes:
    return a


@MEANINGS
def _bytes_to_string(_machine: Machine, a: bytes) -> bytes:
    return a
