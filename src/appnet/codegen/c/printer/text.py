"""C spelling: names, constants, comments and indented lines."""

from __future__ import annotations

import math
import re

from appnet.ir.nodes import Const
from appnet.language.types import BOOL, FLOAT, INT

_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?')


class Names:
    """Gives every name of a program an identifier of its own, as like it as C allows.

    ``prefix`` keeps them apart from C's keywords and from other names in the file.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def __getitem__(self, name: str) -> str:
        if name not in self._given:
            wanted = self._prefix + re.sub(r"[^A-Za-z0-9_]", "_", name)
            identifier, number = wanted, 1
            while identifier in self._taken:
                number += 1
                identifier = f"{wanted}_{number}"
            self._taken.add(identifier)
            self._given[name] = identifier
        return self._given[name]


def literal(value: bytes) -> str:
    """A C string literal of exactly these bytes; no trigraph, no escape that runs on into the next character."""
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in value) + '"'


def view(value: bytes) -> str:
    """The bytes as an ``an_view`` that is static."""
    return f"AN_TEXT({literal(value)})"


def static_view(value: bytes) -> str:
    """The bytes as an ``an_view`` that initialises a static table."""
    return f"{{(const uint8_t *){literal(value)}, {len(value)}}}"


def constant(const: Const) -> str:
    """The constant as a C expression of its type."""
    value = const.value
    if isinstance(value, bytes):
        return view(value)
    if const.type == BOOL:
        return "true" if value else "false"
    if const.type == FLOAT:
        return _double(float(value))
    if const.type == INT:
        return "INT64_MIN" if value == -(2**63) else f"INT64_C({value})"
    return f"UINT64_C({value})"


def _double(value: float) -> str:
    if math.isnan(value):
        return '__builtin_nan("")'
    if math.isinf(value):
        return "__builtin_inf()" if value > 0 else "-__builtin_inf()"
    short = repr(value)
    return short if float(short) == value else value.hex()


def zero(c_type: str) -> str:
    """An initialiser that makes every byte of the type 0."""
    return {"bool": "false", "int64_t": "0", "uint64_t": "0", "double": "0.0"}.get(c_type, "{0}")


def comment(text: str) -> str:
    """A comment on one line, whatever the text is."""
    plain = "".join(char if 0x20 <= ord(char) < 0x7F else "." for char in text)
    return f"/* {plain.replace('*/', '* /').replace('/*', '/ *').replace('??', '? ?')} */"


def indent(lines: list[str]) -> list[str]:
    """The lines one step to the right."""
    return [f"  {line}" if line else line for line in lines]
