"""Where a place lies in a YAML text, told by indentation alone: the text need not be YAML yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appnet.editor.schema import ITEM, Step

_LINE = re.compile(
    r"""(?P<indent>[ ]*)(?P<dashes>(?:-[ ]+|-$)*)"""
    r"""(?:(?P<key>[\w./<>*-]+|'[^']*'|"[^"]*")(?P<colon>[ ]*:(?=[ ]|$)[ ]*))?(?P<rest>.*)"""
)


@dataclass(frozen=True)
class Line:
    """A line with a key, a value or both. Columns count from 0: of the first dash (None without), and of the text.

    ``value``: what stands behind the key and its colon, or behind the dashes; it begins at ``begin``.
    """

    number: int
    dash: int | None
    column: int
    key: str | None
    value: str
    begin: int


@dataclass(frozen=True)
class YamlPlace:
    """``path``: of the mapping or the list around the place. ``key``: of the value that the place is in, where it is.

    ``item``: whether it is in an item of a list that is no mapping yet. ``begun``: the text between its beginning and
    the place. ``beside``: the other keys of the mapping, with their values; ``around``: those beside the key that the
    mapping belongs to.
    """

    path: tuple[Step, ...]
    key: str | None
    item: bool
    begun: str
    beside: dict[str, str]
    around: dict[str, str]


def lines_of(texts: Sequence[str]) -> list[Line]:
    """All but empty lines and comments."""
    return [it for number, text in enumerate(texts, 1) if (it := _line(number, text)) is not None]


def place_at(texts: Sequence[str], line: int, column: int) -> YamlPlace | None:
    """The place before a character, counted from 1; None within comments."""
    text = texts[line - 1][: column - 1] if line <= len(texts) else ""
    if re.search(r"(^|\s)#", text):
        return None
    here = _line(line, text, keep_empty=True)
    assert here is not None
    lines = lines_of(texts)
    steps = list(_steps([it for it in lines if it.number < line], here))
    parent = next((it for step, it in steps if step != ITEM), None)
    item = here.dash is not None and here.key is None
    around = _siblings(lines, parent) if parent is not None else {}
    path = tuple(step for step, _ in reversed(steps))
    return YamlPlace(path, here.key, item, here.value, _siblings(lines, here), around)


def _line(number: int, text: str, *, keep_empty: bool = False) -> Line | None:
    found = _LINE.match(text.rstrip("\r"))
    if found is None or ((not text.strip() or text.lstrip()[:1] == "#") and not keep_empty):
        return None
    dash = len(found["indent"]) if found["dashes"] else None
    column = found.end("dashes")
    key = found["key"].strip("'\"") if found["key"] is not None else None
    value = re.sub(r"(^|\s)#.*", "", found["rest"]).rstrip()
    return Line(number, dash, column, key, value, found.start("rest"))


def _steps(above: Sequence[Line], here: Line) -> Iterator[tuple[Step, Line]]:
    """The steps from the line outwards, each with the line that says it."""
    limit, in_item = here.column, False
    if here.dash is not None:
        yield ITEM, here
        limit, in_item = here.dash, True
    for it in reversed(above):
        if it.key is None and it.value in {"---", "..."}:
            return
        if it.dash is not None and it.column == limit and not in_item:  # the first key of this very item
            yield ITEM, it
            limit, in_item = it.dash, True
        elif it.key is not None and (it.column < limit or (in_item and it.column == limit and it.dash is None)):
            yield it.key, it
            limit, in_item = it.column, False
            if it.dash is not None:
                yield ITEM, it
                limit, in_item = it.dash, True


def _siblings(lines: Sequence[Line], here: Line) -> dict[str, str]:
    """The other keys of the mapping that the line is in, with their values."""
    return {it.key: it.value.strip("'\"") for it in _lines_beside(lines, here) if it.key is not None}


def _lines_beside(lines: Sequence[Line], here: Line) -> Iterator[Line]:
    before = [it for it in reversed(lines) if it.number < here.number] if here.dash is None else []
    for it in before:
        if it.column < here.column:
            break
        if it.column == here.column:
            yield it
            if it.dash is not None:
                break
    for it in (it for it in lines if it.number > here.number):
        if it.column < here.column or (it.dash is not None and it.dash < here.column):
            break
        if it.column == here.column:
            yield it
