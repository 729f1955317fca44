"""A diagnostic as people read it: the title, the marked lines of each file, the help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from appnet.diagnostics.place import Label, Source

_MAX_LINE = 120  # characters of a line that are shown
_TAB = 4


class Role(Enum):
    """What a piece of the text is, for those who colour it."""

    SEVERITY = auto()
    TITLE = auto()
    GUTTER = auto()
    SOURCE = auto()
    PRIMARY = auto()
    SECONDARY = auto()
    HELP = auto()


@dataclass(frozen=True)
class Piece:
    """A part of a line."""

    text: str
    role: Role


Line: TypeAlias = list[Piece]


@dataclass(frozen=True)
class _Mark:
    """What stands under a shown line: ``start`` and ``width`` in its columns from 0, and what it says."""

    start: int
    width: int
    text: str
    primary: bool

    @property
    def role(self) -> Role:
        """Its colour."""
        return Role.PRIMARY if self.primary else Role.SECONDARY


def lines_of(
    head: tuple[str, str, str], labels: Sequence[Label], help_: str, texts: Mapping[Source, str]
) -> Iterator[Line]:
    """The lines of the text. ``head``: severity, code and title; ``labels``: the primary one first.

    ``texts``: of the sources that the labels are in, that of the first one first.
    """
    severity, code, title = head
    first = labels[0]
    lines = {source: _split(text) for source, text in texts.items()}
    shown = [it for it in labels if 0 < it.span.line <= len(lines[it.span.source])]
    gutter = " " * len(str(max(it.span.line for it in (first, *shown))))
    yield [
        Piece(f"{severity}[{code}]", Role.SEVERITY),
        Piece(f": {title}", Role.TITLE),
    ]
    for source, its in lines.items():
        begin = next(it for it in labels if it.span.source == source).span
        arrow = "-->"
        if source != first.span.source:
            arrow = ":::"
            yield [Piece(f"{gutter} |", Role.GUTTER)]
        yield [
            Piece(f"{gutter}{arrow} ", Role.GUTTER),
            Piece(f"{source.name}:{begin.line}:{begin.column}", Role.SOURCE),
        ]
        yield from _excerpt(its, [it for it in shown if it.span.source == source], first, gutter)
    if help_:
        yield [Piece(f"{gutter} |", Role.GUTTER)]
        yield [Piece(f"{gutter} = ", Role.GUTTER), Piece("help", Role.HELP), Piece(f": {help_}", Role.SOURCE)]


def _split(text: str) -> list[str]:
    """Its lines, as the lexer counts them."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r") for line in lines]


def _excerpt(lines: Sequence[str], labels: Sequence[Label], first: Label, gutter: str) -> Iterator[Line]:
    """The labels' lines in order, each with its marks; of what lies between them one line at most."""
    if not labels:
        return
    yield [Piece(f"{gutter} |", Role.GUTTER)]
    before = 0
    for number in sorted({it.span.line for it in labels}):
        if before and number == before + 2:
            yield _numbered(before + 1, _cut(lines[before].expandtabs(_TAB), 0), gutter)
        elif before and number > before + 2:
            yield [Piece("...", Role.GUTTER)]
        before = number
        line = lines[number - 1]
        marks = [_mark(line, it, primary=it is first) for it in labels if it.span.line == number]
        text = line.expandtabs(_TAB)
        anchor = next((it for it in marks if it.primary), marks[0])
        left = max(0, anchor.start - _MAX_LINE // 3) if len(text) > _MAX_LINE else 0
        yield _numbered(number, _cut(text, left), gutter)
        if len(text) > _MAX_LINE:
            marks = [_within(it, left) for it in marks]
        for under in _under(marks):
            yield [Piece(f"{gutter} | ", Role.GUTTER), *under]


def _numbered(number: int, text: str, gutter: str) -> Line:
    return [Piece(f"{number:>{len(gutter)}} | ", Role.GUTTER), Piece(text, Role.SOURCE)]


def _mark(line: str, label: Label, *, primary: bool) -> _Mark:
    span = label.span
    start = span.column - 1
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    before = len(line[:start].expandtabs(_TAB))
    marked = len(line[: max(end, start + 1)].expandtabs(_TAB)) - before
    return _Mark(before, max(marked, 1), label.text, primary)


def _cut(text: str, left: int) -> str:
    """Of a long line what is shown of it, from ``left`` on."""
    if len(text) <= _MAX_LINE:
        return text
    return ("… " if left else "") + text[left : left + _MAX_LINE] + (" …" if left + _MAX_LINE < len(text) else "")


def _within(mark: _Mark, left: int) -> _Mark:
    """The mark under the part that is shown of a long line; at its edge, where it stands outside."""
    start = min(max(mark.start - left, 0), _MAX_LINE - 1)
    return _Mark(start + (2 if left else 0), min(mark.width, _MAX_LINE - start), mark.text, mark.primary)


def _under(marks: Sequence[_Mark]) -> Iterator[Line]:
    """The rows under a line: the marks, the text of the last one beside it, and those of the others hanging below."""
    ordered = sorted(marks, key=lambda it: (it.start, it.primary))
    last = ordered[-1]
    # What is marked twice has both texts on rows of their own; a mark within another hides it where they overlap.
    beside = last.text if sum(last.start < it.start + it.width for it in ordered) == 1 else ""
    row = _underlined(ordered)
    yield [*row, Piece(f" {beside}", last.role)] if beside else row
    hanging = [it for it in ordered if it.text and not (beside and it is last)]
    if hanging:
        yield _bars(hanging)
    while hanging:
        told = hanging.pop()
        left = [it for it in hanging if it.start < told.start]
        used = left[-1].start + 1 if left else 0
        yield [*_bars(left), Piece(" " * (told.start - used) + told.text, told.role)]


def _underlined(ordered: Sequence[_Mark]) -> Line:
    """A row with each mark's line; the primary one on top."""
    width = max(it.start + it.width for it in ordered)
    owner: list[_Mark | None] = [None] * width
    for it in sorted(ordered, key=lambda it: it.primary):
        owner[it.start : it.start + it.width] = [it] * it.width
    row: Line = []
    for under in owner:
        sign, role = (" ", Role.SOURCE) if under is None else ("^" if under.primary else "-", under.role)
        if row and row[-1].role is role:
            row[-1] = Piece(row[-1].text + sign, role)
        else:
            row.append(Piece(sign, role))
    return row


def _bars(marks: Sequence[_Mark]) -> Line:
    """A row with a bar under the beginning of each mark."""
    row: Line = []
    at = 0
    for it in marks:
        if it.start >= at:
            row.append(Piece(" " * (it.start - at) + "|", it.role))
            at = it.start + 1
    return row
