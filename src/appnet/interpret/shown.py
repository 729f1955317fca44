"""Values as people read them, and as behaviour files write them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from appnet.interpret.values import Value
from appnet.language.types import BYTES, FLOAT, INSTANT, STRING, MapType, PairType, Type, VecType

CLOCK_START_NS = 1_000_000_000_000
"""What the clock of each run begins with; an Instant is shown, and written, in seconds from there."""


def shown(value: Value, type_: Type, scalar: Callable[[Value, Type], str] | None = None) -> str:
    """The value as a behaviour file would write it; ``scalar``: what writes what is neither pair, Vec nor Map."""
    match type_:
        case PairType(first=first, second=second):
            return f"[{shown(value[0], first, scalar)}, {shown(value[1], second, scalar)}]"
        case VecType(item=item):
            return "[" + ", ".join(shown(it, item, scalar) for it in value) + "]"
        case MapType(key=key, value=kept):
            entries = (f"{shown(k, key, scalar)}: {shown(v, kept, scalar)}" for k, v in value.items())
            return "{" + ", ".join(entries) + "}"
    return (scalar or shown_scalar)(value, type_)


def shown_scalar(value: Value, type_: Type) -> str:
    """A value that is neither pair, Vec nor Map."""
    if type_ in {STRING, BYTES}:
        return '"' + "".join(map(_escaped, value.decode("utf-8", "backslashreplace"))) + '"'
    if type_ == INSTANT:
        return f"{(value - CLOCK_START_NS) / 1e9:.9g}"
    if type_ == FLOAT and not math.isfinite(value):
        return ".nan" if math.isnan(value) else "-.inf" if value < 0 else ".inf"
    return repr(value) if type_ == FLOAT else str(value).lower()


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
