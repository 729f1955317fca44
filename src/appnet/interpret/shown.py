"""Values as people read them, and as behaviour files write them."""

from __future__ import annotations

import math
from typing import Any

from appnet.interpret.values import Value
from appnet.language.types import BYTES, FLOAT, INSTANT, STRING, MapType, PairType, Type, VecType

CLOCK_START_NS = 1_000_000_000_000
"""What the clock of each run begins with; an Instant is shown, and written, in seconds from there."""


def shown(value: Value, type_: Type) -> str:
    """The value as a behaviour file would write it."""
    match type_:
        case PairType(first=first, second=second):
            return f"[{shown(value[0], first)}, {shown(value[1], second)}]"
        case VecType(item=item):
            return "[" + ", ".join(shown(it, item) for it in value) + "]"
        case MapType(key=key, value=kept):
            return "{" + ", ".join(f"{shown(k, key)}: {shown(v, kept)}" for k, v in value.items()) + "}"
    if type_ in {STRING, BYTES}:
        return '"' + "".join(map(_escaped, value.decode("utf-8", "backslashreplace"))) + '"'
    if type_ == INSTANT:
        return f"{(value - CLOCK_START_NS) / 1e9:.9g}"
    if type_ == FLOAT:
        return repr(value) if math.isfinite(value) else f".{value}"
    return str(value).lower()


def plain(value: Value, type_: Type) -> Any:
    """The value as data that JSON has, too: keys of Maps are texts, and so are floats that are no number."""
    match type_:
        case PairType(first=first, second=second):
            return [plain(value[0], first), plain(value[1], second)]
        case VecType(item=item):
            return [plain(it, item) for it in value]
        case MapType(key=key, value=kept):
            return {_plain_key(k, key): plain(v, kept) for k, v in value.items()}
    if type_ in {STRING, BYTES}:
        return value.decode("utf-8", "backslashreplace")
    if type_ == INSTANT:
        return (value - CLOCK_START_NS) / 1e9
    return value if type_ != FLOAT or math.isfinite(value) else shown(value, type_)


def _plain_key(value: Value, type_: Type) -> str:
    return str(plain(value, type_)) if type_ in {STRING, BYTES} else shown(value, type_)


def _escaped(character: str) -> str:
    """The character in a double-quoted YAML text."""
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"
