"""A page as data: tables whose rows have keys, so that what changes can be sent alone; and the same as HTML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from appnet.dashboard.charts import Chart
from appnet.dashboard.texts import plain, text_of


@dataclass(frozen=True)
class Cell:
    """What stands in a row. ``href``: where it leads; empty: nowhere. ``number``: what it is sorted by.

    ``look``: ``bad``, ``good``, ``quiet`` or ``code``; empty: as usual.
    """

    text: str
    href: str = ""
    number: float | None = None
    look: str = ""


@dataclass(frozen=True)
class Row:
    """``key``: what it is known by in its table. The first cell names the row."""

    key: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Column:
    """``numbers``: its cells are numbers, at its right."""

    title: str
    numbers: bool = False


@dataclass(frozen=True)
class Table:
    """``id``: unique on the page. ``empty``: said where there are no rows. ``search``: what can be looked for in it,
    where it may be long. ``sortable``: by any column, where the order of rows means nothing."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    empty: str
    search: str = ""
    sortable: bool = False


@dataclass(frozen=True)
class Lines:
    """Sentences, each a paragraph; ``code``: lines of code instead."""

    lines: tuple[str, ...]
    code: bool = False


@dataclass(frozen=True)
class Heading:
    """Above what follows."""

    text: str


@dataclass(frozen=True)
class Image:
    """A picture that the dashboard serves at ``source``. ``text``: for those who do not see it."""

    source: str
    text: str


@dataclass(frozen=True)
class Drawing:
    """An SVG picture in the page: ``svg`` is markup that is safe already. ``shape``: what tells it from others, but for
    texts that are cells of tables."""

    svg: str
    shape: str


@dataclass(frozen=True)
class Buttons:
    """What those may do who know the token: each the name of an application, and a word for what is done of it."""

    actions: tuple[tuple[str, str], ...]


Section = Buttons | Table | Lines | Heading | Image | Drawing | Chart


@dataclass(frozen=True)
class Page:
    """``sections``: in the order of the page. ``live``: whether it changes. ``above``: pages that it is a part of."""

    title: str
    sections: tuple[Section, ...]
    above: tuple[tuple[str, str], ...] = ()
    live: bool = True
    tables: dict[str, Table] = field(init=False)
    charts: dict[str, Chart] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", {it.id: it for it in self.sections if isinstance(it, Table)})
        object.__setattr__(self, "charts", {it.id: it for it in self.sections if isinstance(it, Chart)})

    @property
    def frame(self) -> str:
        """A digest of all that is not in the rows of tables, nor drawn in charts."""
        return hashlib.sha256(repr([self.title, *map(_fixed, self.sections)]).encode()).hexdigest()[:16]


def _fixed(section: Section) -> object:
    """What of it does not change by news."""
    match section:
        case Table():
            return section.id, section.caption, section.columns
        case Drawing():
            return section.shape
        case Chart():
            return section.id, section.caption, section.names
    return section


# --- what changes ---


class Sent:
    """What one viewer has of a page."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Row]] = {}
        self._charts: dict[str, Chart] = {}
        self._frame = ""

    def news(self, page: Page) -> dict[str, Any]:
        """What to tell a viewer: by table, rows that are new or have changed, each behind another one, and the keys of
        all where some are gone or stand elsewhere. The first time, everything. Empty where nothing has changed."""
        found: dict[str, Any] = {}
        for name, table in page.tables.items():
            if change := self._changed(table):
                found[name] = change
        told: dict[str, Any] = {"tables": found} if found else {}
        if drawn := {name: it.news for name, it in page.charts.items() if self._charts.get(name) != it}:
            told["charts"], self._charts = drawn, page.charts
        if page.frame != self._frame:
            self._frame = page.frame
            told["frame"] = page.frame
        return told

    def gone(self) -> dict[str, Any]:
        """The same where there is no such page any more."""
        before, self._frame = self._frame, "gone"
        return {"frame": "gone"} if before != "gone" else {}

    def _changed(self, table: Table) -> dict[str, Any]:
        before, now = self._rows.get(table.id), {it.key: it for it in table.rows}
        self._rows[table.id] = now
        rows, behind = [], ""
        for key, row in now.items():
            if before is None or before.get(key) != row:
                rows.append([key, behind, [_cell_data(it) for it in row.cells]])
            behind = key
        stayed = [] if before is None else [key for key in before if key in now]
        gone = before is None or len(stayed) < len(before) or stayed != [key for key in now if key in before]
        change: dict[str, Any] = {"rows": rows} if rows else {}
        return change | ({"keys": list(now)} if gone else {})


def _cell_data(cell: Cell) -> list[Any]:
    return [plain(cell.text), cell.href, cell.number, cell.look]


# --- HTML ---


def html(page: Page, navigation: Iterable[tuple[str, str]], assets: str, events: str, here: str) -> str:
    """The document. ``assets``: a digest of style and script; ``events``: where news of the page come from; empty:
    there are none. ``here``: the address of the page, as the navigation has it."""
    links = "".join(
        f'<li><a href="{escape(href)}"{_current(href == here)}>{text_of(text)}</a></li>' for text, href in navigation
    )
    above = "".join(f'<li><a href="{escape(href)}">{text_of(text)}</a></li>' for text, href in page.above)
    trail = f'<nav aria-label="Where this is"><ol class="trail">{above}</ol></nav>' if above else ""
    body = "\n".join(_sections(page.sections))
    live = (
        '<p class="state"><span id="state" role="status">Not live yet</span> '
        '<button type="button" id="pause" aria-pressed="false">Pause</button></p>'
        if events
        else ""
    )
    data = f' data-events="{escape(events)}" data-frame="{page.frame}"' if events else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text_of(page.title)} – AppNet</title>
<link rel="stylesheet" href="dashboard.css?{assets}">
<link rel="icon" href="data:,">
<script type="module" src="dashboard.js?{assets}"></script>
</head>
<body{data}>
<a class="skip" href="#main">Skip to the content</a>
<header><p class="name">AppNet</p><nav aria-label="Pages"><ul>{links}</ul></nav>{live}</header>
<main id="main">
{trail}
<h1>{text_of(page.title)}</h1>
{body}
</main>
</body>
</html>
"""


def _current(here: bool) -> str:
    return ' aria-current="page"' if here else ""


def _sections(sections: Iterable[Section]) -> Iterator[str]:
    for it in sections:
        match it:
            case Table():
                yield _table(it)
            case Lines(code=True):
                yield f"<pre><code>{chr(10).join(map(text_of, it.lines))}</code></pre>"
            case Lines():
                yield "".join(f"<p>{text_of(line)}</p>" for line in it.lines)
            case Buttons():
                yield _buttons(it)
            case Heading():
                yield f"<h2>{text_of(it.text)}</h2>"
            case Image():
                yield f'<p class="picture"><img src="{escape(it.source)}" alt="{text_of(it.text)}"></p>'
            case Chart():
                yield it.html
            case Drawing():
                yield f'<div class="picture" tabindex="0" role="region" aria-label="Picture">{it.svg}</div>'


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"{_numbers(it.numbers)}>{_head(it.title, sortable=table.sortable)}</th>' for it in table.columns
    )
    rows = "\n".join(_row(it, table.columns) for it in table.rows)
    search = (
        f'<p class="search" hidden><label>{text_of(table.search)} <input type="search" data-table="{escape(table.id)}">'
        f"</label> <output></output></p>"
        if table.search
        else ""
    )
    empty = f'<p class="empty"{"" if not table.rows else " hidden"}>{text_of(table.empty)}</p>'
    numbers = json.dumps([it.numbers for it in table.columns])
    return (
        f'<section class="table">{search}<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{text_of(table.caption)}"><table id="{escape(table.id)}" data-numbers="{numbers}">'
        f"<caption>{text_of(table.caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>\n{rows}\n</tbody></table></div>{empty}</section>"
    )


def _buttons(buttons: Buttons) -> str:
    """They need the script, so that they are hidden without it."""
    each = " ".join(
        f'<button type="button" data-application="{text_of(name)}" data-action="{text_of(word)}">'
        f"{text_of(word.capitalize())} {text_of(name)}</button>"
        for name, word in buttons.actions
    )
    return (
        f'<p class="actions" hidden><label>Token <input type="password" autocomplete="off"></label> {each} '
        '<output role="status"></output></p>'
    )


def _head(title: str, *, sortable: bool) -> str:
    return f'<button type="button" disabled>{text_of(title)}</button>' if sortable and title else text_of(title)


def _numbers(numbers: bool) -> str:
    return ' class="number"' if numbers else ""


def _row(row: Row, columns: Sequence[Column]) -> str:
    cells = "".join(
        _cell(it, first=not place, numbers=column.numbers)
        for place, (it, column) in enumerate(zip(row.cells, columns, strict=True))
    )
    return f'<tr data-key="{escape(row.key)}">{cells}</tr>'


def _cell(cell: Cell, *, first: bool, numbers: bool) -> str:
    name, scope = ("th", ' scope="row"') if first else ("td", "")
    looks = " ".join(filter(None, ("number" if numbers else "", cell.look)))
    look = f' class="{looks}"' if looks else ""
    number = f' data-number="{cell.number!r}"' if cell.number is not None else ""
    text = text_of(cell.text)
    inner = f'<a href="{escape(cell.href)}">{text}</a>' if cell.href else text
    return f"<{name}{scope}{look}{number}>{inner}</{name}>"
