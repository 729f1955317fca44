"""Values of the language in Python (the table in `appnet.ir.nodes`) and what holds for every value.

A container belongs to one place: assigning, storing, passing on or taking out copies it, so that a change
made through one name is never seen through another.
"""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Any, TypeAlias

from appnet.language.messages import Field
from appnet.language.types import BOOL, BYTES, FLOAT, INSTANT, INT, STRING, UINT, MapType, PairType, Type, VecType

Value: TypeAlias = Any
"""bool, int, float, bytes, a tuple, a list, a dict or None, by the type at hand."""

_MASK = 2**64 - 1
_SIGN = 2**63
_ZEROS: dict[Type, Value] = {BOOL: False, INT: 0, UINT: 0, INSTANT: 0, FLOAT: 0.0, STRING: b"", BYTES: b""}


def default_value(type_: Type) -> Value:
    """What a variable of the type holds before it is set."""
    match type_:
        case PairType(first=first, second=second):
            return (default_value(first), default_value(second))
        case VecType():
            return []
        case MapType():
            return {}
        case _:
            return _ZEROS[type_]


def absent_value(field: Field) -> Value:
    """What the field reads as where a message does not have it."""
    return default_value(field.type) if field.default is None or field.within else field.default


def each_absent(field: Field, count: int) -> Value:
    """What a field inside many messages reads as, where none of so many has it."""
    if field.many:
        return []
    assert isinstance(field.type, VecType)
    return [default_value(field.type.item) if field.default is None else field.default] * count


def copy_value(value: Value) -> Value:
    """The same value in containers of its own."""
    if not isinstance(value, (list, dict, tuple)):
        return value
    if isinstance(value, list):
        return [copy_value(item) for item in value]
    if isinstance(value, dict):
        return {key: copy_value(item) for key, item in value.items()}
    return tuple(copy_value(item) for item in value)


def wrap_int(value: int) -> int:
    """The int of the same 64 bits."""
    return ((value + _SIGN) & _MASK) - _SIGN


def wrap_uint(value: int) -> int:
    """The uint of the same 64 bits."""
    return value & _MASK


def wrap(value: Value, type_: Type) -> Value:
    """The result of exact arithmetic as a value of the type; floats are what they are."""
    if type_ == INT:
        return wrap_int(value)
    return wrap_uint(value) if type_ == UINT else value


def narrow(value: Value, kind: str) -> Value:
    """What a field of this kind of the .proto holds after it was written: 32-bit kinds keep 32 bits."""
    if kind in {"int32", "sint32", "sfixed32", "enum"}:
        return ((value + 2**31) & (2**32 - 1)) - 2**31
    if kind in {"uint32", "fixed32"}:
        return value & (2**32 - 1)
    return ctypes.c_float(value).value if kind == "float" else value


def hold(value: Value, field: Field) -> Value:
    """What the field holds after it was written."""
    match field.type:
        case VecType():
            return [narrow(it, field.kind) for it in value]
        case MapType():
            held: dict[Value, Value] = {}
            for key, it in value.items():
                narrowed = narrow(key, field.key_kind)
                held.pop(narrowed, None)  # the last one set counts, and is the newest
                held[narrowed] = narrow(it, field.kind)
            return held
        case _:
            return narrow(value, field.kind)


def is_named(value: Value, field: Field) -> bool:
    """Whether a closed enum has names for all that is in the value, which the field holds."""
    if not field.names:
        return True
    numbers = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return all(it in field.names for it in numbers)


def as_key(value: Value) -> Value:
    """The value as a key of a Map: keys are equal as ``==`` says, and all NaNs are one key."""
    if isinstance(value, float):
        return math.nan if math.isnan(value) else value + 0.0  # -0.0 + 0.0 is 0.0
    return value


def same_value(one: Value, other: Value) -> bool:
    """Whether nobody can tell them apart: as ``==``, but a NaN is the same as another."""
    if isinstance(one, float):
        return one == other or (isinstance(other, float) and math.isnan(one) and math.isnan(other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_value(it, other[key]) for key, it in one.items())
    return bool(one == other)


def float_bits(value: float) -> int:
    """The 64 bits of the double; all NaNs have those of the quiet NaN."""
    return 0x7FF8_0000_0000_0000 if math.isnan(value) else struct.unpack("<Q", struct.pack("<d", value))[0]


def float_from_bits(bits: int) -> float:
    """The double of these 64 bits."""
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def fit(value: Value, capacity: int) -> int:
    """Drops the oldest items of a Vec, or the entries of a Map least recently set, beyond the capacity; how many."""
    excess = max(len(value) - capacity, 0) if isinstance(value, list | dict) else 0
    if isinstance(value, list):
        del value[:excess]
    elif isinstance(value, dict):
        for key in list(value)[:excess]:
            del value[key]
    return excess
