"""Strings and bytes."""

from __future__ import annotations

from functools import lru_cache

import re2

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.random import fnv1a

MEANINGS = Meanings()


@MEANINGS
def _concat(_machine: Machine, a: bytes, b: bytes) -> bytes:
    return a + b


@MEANINGS
def _contains(_machine: Machine, a: bytes, b: bytes) -> bool:
    return b in a


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
