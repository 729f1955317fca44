"""From a pattern's tree to a table over bytes: Thompson's construction, then sets of its states.

Text is UTF-8. As in RE2, a range that covers all beyond ASCII also takes sequences that no character is written by.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from appnet.language.patterns.reader import read
from appnet.language.patterns.tree import GREATEST, Assertion, Chars, Concat, Either, Node, PatternError, Ranges, Repeat

MOST_STATES = 1024
_MOST_STEPS = 20_000  # of Thompson's construction
_END = 256  # what stands behind the last byte
_MATCH = 0

ByteRange = tuple[int, int]
ByteTree = tuple[tuple[ByteRange, "ByteTree"], ...]
"""Bytes that may come next, apart from one another, each with what may follow; empty where nothing has to."""

_LINES = frozenset({Assertion.LINE_BEGIN, Assertion.LINE_END})
_EDGES = frozenset({Assertion.WORD_EDGE, Assertion.NO_WORD_EDGE})


class _Before(IntEnum):
    """What stands beside a place, as far as assertions tell it."""

    NOTHING = 0
    NEWLINE = 1
    WORD = 2
    OTHER = 3


@dataclass(frozen=True)
class Automaton:
    """A deterministic automaton that says whether a text holds a match.

    Byte ``b`` in state ``s`` leads to ``table[s][classes[b]]``; at the end of the text stands the last class of
    the row. The text matches where that leads to ``accepting``, which nothing leaves. It starts in state ``start``.
    """

    classes: tuple[int, ...]
    table: tuple[tuple[int, ...], ...]
    start: int
    accepting: int

    def matches(self, text: bytes) -> bool:
        """Whether the text holds a match."""
        state = self.start
        for byte in text:
            state = self.table[state][self.classes[byte]]
        return self.table[state][-1] == self.accepting


@lru_cache(maxsize=256)
def compile_pattern(pattern: bytes) -> Automaton:
    """The automaton of a pattern. Raises `PatternError`."""
    try:
        text = pattern.decode()
    except UnicodeDecodeError as error:
        start = len(pattern[: error.start].decode())
        help_ = "write \\x{H…} for a character by its number"
        raise PatternError("the pattern is not valid UTF-8", help_, start, start + 1) from None
    steps = _Steps(len(text))
    return _Determined(steps, steps.add(read(text), _MATCH)).automaton()


# --- steps ---------------------------------------------------------------------------------------


@dataclass
class _Steps:
    """States of a nondeterministic automaton: step 0 is the match, the others by number in one of the tables."""

    size: int  # characters of the pattern
    consume: dict[int, tuple[ByteRange, int]] = field(default_factory=dict)
    fork: dict[int, list[int]] = field(default_factory=dict)
    check: dict[int, tuple[Assertion, int]] = field(default_factory=dict)
    shared: dict[tuple[ByteTree, int], int] = field(default_factory=dict)
    count: int = 1

    def new(self) -> int:
        self.count += 1
        if self.count > _MOST_STEPS:
            raise too_large(self.size)
        return self.count - 1

    def add(self, node: Node, then: int) -> int:
        """The step where the node begins that goes on at ``then``."""
        match node:
            case Chars(ranges=()):
                return self.new()  # from which nothing leads on
            case Chars(ranges=ranges):
                return self._bytes(byte_tree(ranges), then)
            case Assertion():
                step = self.new()
                self.check[step] = node, then
                return step
            case Concat(parts=parts):
                for part in reversed(parts):
                    then = self.add(part, then)
                return then
            case Either(choices=choices):
                step = self.new()
                self.fork[step] = [self.add(choice, then) for choice in choices]
                return step
            case Repeat():
                return self._repeat(node, then)

    def _repeat(self, node: Repeat, then: int) -> int:
        if node.most is None:
            loop = self.new()
            self.fork[loop] = [then]
            self.fork[loop].append(self.add(node.node, loop))
            then = loop
        else:
            after = then
            for _ in range(node.most - node.least):
                step = self.new()
                self.fork[step] = [after, self.add(node.node, then)]
                then = step
        for _ in range(node.least):
            then = self.add(node.node, then)
        return then

    def _bytes(self, tree: ByteTree, then: int) -> int:
        if not tree:
            return then
        if (tree, then) not in self.shared:
            self.shared[tree, then] = step = self.new()
            self.fork[step] = [self._taken(wanted, self._bytes(rest, then)) for wanted, rest in tree]
        return self.shared[tree, then]

    def _taken(self, wanted: ByteRange, then: int) -> int:
        step = self.new()
        self.consume[step] = wanted, then
        return step


@lru_cache(maxsize=256)
def byte_tree(ranges: Ranges) -> ByteTree:
    """How the code points are written: what byte may stand first, and what may follow each."""
    return _tree(frozenset(it for low, high in ranges for it in sequences(low, high)))


@lru_cache(maxsize=4096)
def _tree(wanted: frozenset[tuple[ByteRange, ...]]) -> ByteTree:
    if () in wanted:
        return ()
    cuts = sorted({it for (low, high), *_ in wanted for it in (low, high + 1)})
    rests: dict[int, set[tuple[ByteRange, ...]]] = {}
    for (low, high), *rest in wanted:
        for place in range(bisect_left(cuts, low), bisect_right(cuts, high)):
            rests.setdefault(place, set()).add(tuple(rest))
    found: list[tuple[ByteRange, ByteTree]] = []
    for place in sorted(rests):
        piece, tree = (cuts[place], cuts[place + 1] - 1), _tree(frozenset(rests[place]))
        if found and found[-1][1] == tree and found[-1][0][1] + 1 == piece[0]:
            piece = (found.pop()[0][0], piece[1])
        found.append((piece, tree))
    return tuple(found)


def sequences(low: int, high: int) -> Iterator[tuple[ByteRange, ...]]:
    """The ranges of bytes by which UTF-8 writes the code points from ``low`` to ``high``, one tuple for each length."""
    if (low, high) == (0x80, GREATEST):
        tail = (0x80, 0xBF)
        yield from (((0xC2, 0xDF), tail), ((0xE0, 0xEF), tail, tail), ((0xF0, 0xF4), tail, tail, tail))
        return
    for last in (0x7F, 0x7FF, 0xFFFF):
        if low <= last < high:
            yield from sequences(low, last)
            yield from sequences(last + 1, high)
            return
    if high <= 0x7F:
        yield ((low, high),)
        return
    for bits in (6, 12, 18):
        mask = (1 << bits) - 1
        if low >> bits != high >> bits and (cut := _uneven(low, high, mask)) is not None:
            yield from sequences(low, cut)
            yield from sequences(cut + 1, high)
            return
    yield tuple(zip(_utf8(low), _utf8(high), strict=True))


def _uneven(low: int, high: int, mask: int) -> int | None:
    """Where to cut so that the last bytes of each part run over all their values."""
    if low & mask:
        return low | mask
    return (high & ~mask) - 1 if high & mask != mask else None


def _utf8(code: int) -> bytes:
    return chr(code).encode("utf-8", "surrogatepass")


# --- sets of steps -------------------------------------------------------------------------------

_Kernel = tuple[frozenset[int], _Before]


class _Determined:
    """The subset construction. A state is a set of steps before forks are taken, and what its assertions ask of the
    byte before; state 0 has found a match, state 1 stands behind a text without one.
    """

    def __init__(self, steps: _Steps, first: int) -> None:
        self._steps = steps
        self._first = first
        self._asked = frozenset(assertion for assertion, _ in steps.check.values())
        self._numbers: dict[_Kernel, int] = {}
        self._found: dict[_Kernel, int] = {}
        self._todo: list[_Kernel] = []

    def automaton(self) -> Automaton:
        """The automaton with the fewest states and classes."""
        bounds = self._bounds()
        start = self._number(frozenset([self._first]), _Before.NOTHING)
        size = len(bounds) + 1
        rows = [[0] * size, [1] * size]
        rows.extend(self._row(kernel, bounds) for kernel in self._todo)  # which grows
        merged = _least(rows)
        kept = [[merged[it] for it in rows[merged.index(block)]] for block in range(max(merged) + 1)]
        *columns, end = zip(*kept, strict=True)
        numbers = {column: number for number, column in enumerate(dict.fromkeys(columns))}
        classes = tuple(numbers[columns[bisect_right(bounds, byte) - 1]] for byte in range(256))
        table = tuple(zip(*numbers, end, strict=True))
        return Automaton(classes, table, merged[start], merged[0])

    def _bounds(self) -> list[int]:
        """The least byte of each run of bytes that no step and no assertion tells apart."""
        ranges = [wanted for wanted, _ in self._steps.consume.values()]
        if self._asked & _LINES:
            ranges.append((10, 10))
        if self._asked & _EDGES:
            ranges += [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
        bounds = {0, *(low for low, _ in ranges), *(high + 1 for _, high in ranges)}
        return sorted(bounds - {256})

    def _number(self, steps: frozenset[int], before: _Before) -> int:
        if (steps, before) not in self._found:
            self._found[steps, before] = self._new_number(steps, before)
        return self._found[steps, before]

    def _new_number(self, steps: frozenset[int], before: _Before) -> int:
        if _MATCH in self._closure(steps, None, None):
            return 0
        kernel = steps, self._told(before)
        if kernel not in self._numbers:
            if len(self._numbers) == MOST_STATES:
                raise too_large(self._steps.size)
            self._numbers[kernel] = len(self._numbers) + 2
            self._todo.append(kernel)
        return self._numbers[kernel]

    def _told(self, before: _Before) -> _Before:
        """What of the byte before makes a difference to the assertions of the pattern."""
        asked = {
            _Before.NOTHING: {Assertion.TEXT_BEGIN, Assertion.LINE_BEGIN},
            _Before.NEWLINE: {Assertion.LINE_BEGIN},
            _Before.WORD: _EDGES,
        }
        return before if asked.get(before, frozenset()) & self._asked else _Before.OTHER

    def _row(self, kernel: _Kernel, bounds: list[int]) -> list[int]:
        steps, before = kernel
        reached = {after: self._closure(steps, before, after) for after in _Before}
        targets = {after: self._targets(taken, bounds) for after, taken in reached.items()}
        row = []
        for place, symbol in enumerate((*bounds, _END)):
            after = _kind(symbol)
            if _MATCH in reached[after]:
                row.append(0)
            elif symbol == _END:
                row.append(1)
            else:
                row.append(self._number(frozenset([self._first, *targets[after].get(place, ())]), after))
        return row

    def _targets(self, steps: frozenset[int], bounds: list[int]) -> dict[int, list[int]]:
        """Where the steps lead, by the places among ``bounds`` of the bytes that lead there."""
        found: dict[int, list[int]] = {}
        for step in steps - {_MATCH}:
            (low, high), then = self._steps.consume[step]
            for place in range(bisect_left(bounds, low), bisect_right(bounds, high)):
                found.setdefault(place, []).append(then)
        return found

    def _closure(self, steps: frozenset[int], before: _Before | None, after: _Before | None) -> frozenset[int]:
        """The steps that consume, and the match, which are reached between two bytes; whatever these are if None."""
        seen: set[int] = set()
        todo = list(steps)
        while todo:
            step = todo.pop()
            if step in seen:
                continue
            seen.add(step)
            todo += self._steps.fork.get(step, ())
            if step in self._steps.check:
                assertion, then = self._steps.check[step]
                if before is not None and after is not None and _holds(assertion, before, after):
                    todo.append(then)
        return frozenset(it for it in seen if it == _MATCH or it in self._steps.consume)


def _kind(symbol: int) -> _Before:
    if symbol == _END:
        return _Before.NOTHING
    if symbol == 10:
        return _Before.NEWLINE
    char = chr(symbol)
    return _Before.WORD if char == "_" or (char.isascii() and char.isalnum()) else _Before.OTHER


def _holds(assertion: Assertion, before: _Before, after: _Before) -> bool:
    edge = (before is _Before.WORD) != (after is _Before.WORD)
    return {
        Assertion.TEXT_BEGIN: before is _Before.NOTHING,
        Assertion.TEXT_END: after is _Before.NOTHING,
        Assertion.LINE_BEGIN: before in {_Before.NOTHING, _Before.NEWLINE},
        Assertion.LINE_END: after in {_Before.NOTHING, _Before.NEWLINE},
        Assertion.WORD_EDGE: edge,
        Assertion.NO_WORD_EDGE: not edge,
    }[assertion]


def _least(rows: list[list[int]]) -> list[int]:
    """For each state the block of states that it cannot be told from, by Moore's refinement; state 0 is block 0."""
    blocks = [0, *[1] * (len(rows) - 1)]
    while True:
        names: dict[tuple[int, ...], int] = {}
        refined = [
            names.setdefault((block, *(blocks[it] for it in row)), len(names))
            for block, row in zip(blocks, rows, strict=True)
        ]
        if len(names) == max(blocks) + 1:
            return blocks
        blocks = refined


def too_large(size: int) -> PatternError:
    """The error for a pattern of so many characters."""
    help_ = "split it, anchor it with ^, or repeat less"
    return PatternError(f"the pattern needs more than {MOST_STATES:,} states", help_, 0, max(size, 1))
