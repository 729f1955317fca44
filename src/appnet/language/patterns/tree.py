"""What a pattern is once it is read: sets of characters, assertions, and their combinations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

GREATEST = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
"""Code points, both ends included, ascending and apart from one another."""


class PatternError(Exception):
    """A pattern that cannot be used; ``start`` and ``end`` are characters of it, counted from 0."""

    def __init__(self, why: str, help_: str, start: int, end: int) -> None:
        super().__init__(why)
        self.why, self.help, self.start, self.end = why, help_, start, end


class Assertion(Enum):
    """A place between two characters."""

    TEXT_BEGIN = "\\A"
    TEXT_END = "\\z"
    LINE_BEGIN = "(?m:^)"
    LINE_END = "(?m:$)"
    WORD_EDGE = "\\b"
    NO_WORD_EDGE = "\\B"


@dataclass(frozen=True)
class Chars:
    """One character of the set."""

    ranges: Ranges


@dataclass(frozen=True)
class Concat:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Either:
    choices: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """``most`` is None where there is no limit."""

    node: Node
    least: int
    most: int | None


Node = Chars | Assertion | Concat | Either | Repeat


def united(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges in order, those that touch made one."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(high, out[-1][1])
        else:
            out.append((low, high))
    return tuple(out)


def without(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Every code point but these."""
    out, free = [], 0
    for low, high in united(ranges):
        if free < low:
            out.append((free, low - 1))
        free = high + 1
    return (*out, (free, GREATEST)) if free <= GREATEST else tuple(out)


def folded(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges with the other case of their ASCII letters, and the two signs beyond ASCII that fold to one."""
    out = list(ranges)
    for low, high in tuple(out):
        for first, other in ((0x41, 0x61), (0x61, 0x41)):
            a, b = max(low, first), min(high, first + 25)
            if a <= b:
                out.append((a - first + other, b - first + other))
    for letter, sign in ((0x6B, 0x212A), (0x73, 0x17F)):  # k and the Kelvin sign, s and the long s
        if any(low <= letter <= high for low, high in out):
            out.append((sign, sign))
    return united(out)
