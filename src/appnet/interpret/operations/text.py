"""Strings and bytes."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache

import re2

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.random import fnv1a
from appnet.interpret.values import Value

MOST_TEXT = 64 << 20
"""Bytes of a text that is made; for a longer one there is no memory."""

MOST_PARTS = 65_536

MEANINGS = Meanings()


def _made(machine: Machine, size: int) -> bool:
    """Whether a text of so many bytes is made."""
    machine.exhausted |= size > MOST_TEXT
    return size <= MOST_TEXT


@MEANINGS
def _concat(machine: Machine, a: bytes, b: bytes) -> bytes:
    if not a or not b:
        return a or b
    return a + b if _made(machine, len(a) + len(b)) else b""


@MEANINGS
def _lower(machine: Machine, a: bytes) -> bytes:
    return a.lower() if _made(machine, len(a)) else b""


@MEANINGS
def _upper(machine: Machine, a: bytes) -> bytes:
    return a.upper() if _made(machine, len(a)) else b""


@MEANINGS
def _trim(_machine: Machine, a: bytes) -> bytes:
    return a.strip(b"\t\n\v\f\r ")


@MEANINGS
def _substring(_machine: Machine, a: bytes, start: int, end: int) -> bytes:
    return a[max(start, 0) : max(end, 0)]


@MEANINGS
def _replace(machine: Machine, a: bytes, part: bytes, by: bytes) -> bytes:
    count = a.count(part) if part else 0
    if count == 0:
        return a
    return a.replace(part, by) if _made(machine, len(a) + count * (len(by) - len(part))) else b""


@MEANINGS
def _split(_machine: Machine, a: bytes, separator: bytes) -> list[Value]:
    return list(a.split(separator, MOST_PARTS - 1)) if separator else [a]


@MEANINGS
def _join(machine: Machine, parts: list[bytes], separator: bytes) -> bytes:
    size = sum(map(len, parts)) + max(len(parts) - 1, 0) * len(separator)
    return separator.join(parts) if _made(machine, size) else b""


@MEANINGS
def _base64_encode(machine: Machine, a: bytes) -> bytes:
    return base64.b64encode(a) if _made(machine, (len(a) + 2) // 3 * 4) else b""


@MEANINGS
def _base64_decode(_machine: Machine, text: bytes) -> Value:
    data = decoded(text)
    return None if data is None else (data,)


def decoded(text: bytes) -> bytes | None:
    """The bytes of a base64 text; None where unused bits are set, by which a text could be altered unseen."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return data if base64.b64encode(data) == text else None


@MEANINGS
def _contains(_machine: Machine, a: bytes, b: bytes) -> bool:
    return b in a


@MEANINGS
def _ends_with(_machine: Machine, a: bytes, b: bytes) -> bool:
    return a.endswith(b)


@MEANINGS
def _starts_with(_machine: Machine, a: bytes, b: bytes) -> bool:
    return a.startswith(b)


@MEANINGS
def _matches(_machine: Machine, text: bytes, pattern: bytes) -> bool:
    return _compiled(pattern).search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: bytes) -> re2._Regexp:
    return re2.compile(pattern)


@MEANINGS
def _hash(_machine: Machine, a: bytes) -> int:
    return fnv1a(a)
