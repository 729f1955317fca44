"""The types of AppNet programs (docs/language.md, "Types")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Type:
    """A scalar type, told apart by its name; compound types are subclasses."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class PairType(Type):
    first: Type
    second: Type

    def __init__(self, first: Type, second: Type) -> None:
        object.__setattr__(self, "name", f"<{first}, {second}>")
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "second", second)


@dataclass(frozen=True)
class VecType(Type):
    item: Type

    def __init__(self, item: Type) -> None:
        object.__setattr__(self, "name", f"Vec<{item}>")
        object.__setattr__(self, "item", item)


@dataclass(frozen=True)
class MapType(Type):
    key: Type
    value: Type

    def __init__(self, key: Type, value: Type) -> None:
        object.__setattr__(self, "name", f"Map<{key}, {value}>")
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "value", value)


@dataclass(frozen=True)
class OptionType(Type):
    """What ``get`` on a Vec or Map gives: ``Some(item)`` or ``None``."""

    item: Type

    def __init__(self, item: Type) -> None:
        object.__setattr__(self, "name", f"Option<{item}>")
        object.__setattr__(self, "item", item)


REPLY = Type("reply")
"""What `reply()` begins: it can be set and sent, and is no value otherwise."""

BOOL = Type("bool")
INT = Type("int")
UINT = Type("uint")
FLOAT = Type("float")
STRING = Type("string")
BYTES = Type("bytes")
INSTANT = Type("Instant")
UNIT = Type("unit")

SCALARS = (BOOL, INT, UINT, FLOAT, STRING, BYTES, INSTANT)
NUMERIC = (INT, UINT, FLOAT)


def type_named(text: str) -> Type | None:
    """The type that is written so; None where there is none. The inverse of ``str``."""
    inner = text[text.find("<") + 1 : -1]
    parts = [type_named(it) for it in _parts(inner)] if text.endswith(">") else []
    match text.partition("<")[0], parts:
        case "Map", [Type() as key, Type() as value]:
            return MapType(key, value)
        case "Vec", [Type() as item]:
            return VecType(item)
        case "", [Type() as first, Type() as second]:
            return PairType(first, second)
    return next((it for it in SCALARS if it.name == text), None)


def _parts(text: str) -> list[str]:
    """What commas separate that are in no brackets."""
    parts, depth = [""], 0
    for it in text:
        depth += (it == "<") - (it == ">")
        if it == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += it
    return [it.strip() for it in parts]
