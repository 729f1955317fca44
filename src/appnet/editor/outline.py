"""The blocks of an element's text, which need not be a program, and what is declared in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_SECTION = re.compile(r"(?:fn\s+)?(state|internal|init|open|req|resp|end)\b[^\n]*[:{]")
_HEAD = re.compile(r"[^({:]*(?:\([^)]*\))?")
DECLARED = re.compile(r"\s+(?:@\w+\([^)]*\)\s*)*(\w+)\s*:\s*([^#/]+)")
"""A line that declares a state variable, and its type."""


@dataclass(frozen=True)
class Symbol:
    """Something that the text declares. Lines and columns count from 1; ``last_line`` still belongs to it.

    ``kind``: ``state``, ``init``, ``handler`` or ``variable``. ``column``, ``end_column``: of its name.
    """

    name: str
    kind: str
    line: int
    last_line: int
    column: int
    end_column: int
    detail: str = ""
    inner: list[Symbol] = field(default_factory=list)


def outline(lines: Sequence[str]) -> list[Symbol]:
    """The blocks with the state variables, in the order of the text."""
    heads = [(number, found) for number, text in enumerate(lines, 1) if (found := _SECTION.match(text))]
    symbols: list[Symbol] = []
    for index, (number, head) in enumerate(heads):
        last = (heads[index + 1][0] if index + 1 < len(heads) else len(lines) + 1) - 1
        while last > number and not lines[last - 1].strip():
            last -= 1
        section = head[1].replace("internal", "state")
        kind = section if section in {"state", "init"} else "handler"
        name = _HEAD.match(head[0].removeprefix("fn"))
        text = name.group().strip() if name else section
        symbols.append(Symbol(text, kind, number, last, head.start(1) + 1, head.end(1) + 1))
        if kind == "state":
            symbols[-1].inner.extend(_declared(lines, number + 1, last))
    return symbols


def section_at(lines: Sequence[str], line: int) -> str:
    """The block that a line stands in; empty before the first."""
    return next((section for section, _ in reversed(list(above(lines, line)))), "")


def above(lines: Sequence[str], line: int) -> Iterator[tuple[str, str]]:
    """The lines above ``line`` from the first block on, each with its block."""
    section = ""
    for text in lines[: line - 1]:
        if found := _SECTION.match(text):
            section = found.group(1).replace("internal", "state")
        if section:
            yield section, text


def _declared(lines: Sequence[str], first: int, last: int) -> Iterator[Symbol]:
    for number in range(first, last + 1):
        if found := DECLARED.match(lines[number - 1]):
            begin, end = found.start(1) + 1, found.end(1) + 1
            yield Symbol(found[1], "variable", number, number, begin, end, found[2].strip())
