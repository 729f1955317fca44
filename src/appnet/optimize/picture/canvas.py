"""The visual language of all pictures: kinds of boxes and lines, their colours by day and by night, and a legend."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

SIZE, SMALL = 13.0, 11.0
MARGIN, PAD, BOX = 16.0, 10.0, 30.0
_ADVANCE = 0.62  # of a letter, in ems: the widest of the fonts below; boxes are made for it
_FONTS = "ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_LONGEST = 40

BOXES = {
    "service": "service",
    "place": "processor: a sidecar or a library",
    "module": "module, its elements fused into one",
    "moved": "element that is not where it was written",
    "part": "part of AppNet",
}
"""Each kind of box, and what the legend says of it."""

LINES = {
    "request": "request",
    "push": "code and configuration",
    "back": "answer or record",
}
"""Each kind of arrow, and what the legend says of it."""

_DASHES = {"push": "6 3", "back": "2 3"}


@dataclass(frozen=True)
class Colours:
    """``boxes``: of each kind what fills it, and its border."""

    page: str
    ink: str
    quiet: str
    boxes: Mapping[str, tuple[str, str]]
    lines: Mapping[str, str]


LIGHT = Colours(
    page="#ffffff",
    ink="#1f2328",
    quiet="#59636e",
    boxes={
        "service": ("#ddf4ff", "#0969da"),
        "place": ("#f6f8fa", "#818b98"),
        "module": ("#fff8c5", "#9a6700"),
        "moved": ("#c9f2d3", "#1a7f37"),
        "part": ("#f6ecff", "#8250df"),
    },
    lines={"request": "#59636e", "push": "#8250df", "back": "#bc4c00"},
)
"""By day."""

DARK = Colours(
    page="#0d1117",
    ink="#f0f6fc",
    quiet="#9aa4af",
    boxes={
        "service": ("#10233f", "#4493f8"),
        "place": ("#161c24", "#656c76"),
        "module": ("#332701", "#d29922"),
        "moved": ("#0f3a1c", "#3fb950"),
        "part": ("#241a38", "#ab7df8"),
    },
    lines={"request": "#9aa4af", "push": "#ab7df8", "back": "#f0883e"},
)
"""By night, where the viewer's device prefers that."""


def width_of(text: str, size: float = SIZE) -> float:
    """As much room as the text takes in any of the fonts."""
    return sum(map(_letters, _printable(text))) * _ADVANCE * size


def box_width(text: str) -> float:
    """Of a box with that name in it."""
    return width_of(short(text)) + 2 * PAD


def short(text: str) -> str:
    """The text; of a long one both ends, as boxes have it."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[1 - half :]}"


def _printable(text: str) -> str:
    """The text without what no XML may hold."""
    return "".join(it if it.isprintable() else "\ufffd" for it in text)


def _letters(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


class Canvas:
    """Takes boxes and arrows wherever they go, and knows how much room all of them take.

    What is drawn later covers what is there. ``kinds``: those that were used, for the legend.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.kinds: set[str] = set()
        self.width = self.height = 0.0

    def text(self, x: float, y: float, text: str, look: str = "", anchor: str = "start") -> None:
        """One line with its middle at ``y``; ``look``: any of ``bold``, ``small``, ``quiet``, and ``halo`` on lines."""
        size = SMALL if "small" in look.split() else SIZE
        room = width_of(text, size)
        self._reach(x + room * {"start": 1.0, "middle": 0.5, "end": 0.0}[anchor], y + size)
        attributes = (f' class="{look}"' if look else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        self._parts.append(f'<text x="{x:.0f}" y="{y + size * 0.35:.0f}"{attributes}>{escape(_printable(text))}</text>')

    def box(self, kind: str, x: float, y: float, width: float, height: float = BOX, *lines: str) -> None:
        """A box; of its ``lines``, each in its middle, the first is a heading where there are several.

        Of one that is long both ends are shown; the box's title has all of it.
        """
        self.kinds.add(kind)
        self._open(kind, x, y, width, height)
        for number, line in enumerate(lines):
            look = "small" if number else "bold" if len(lines) > 1 else ""
            middle = y + height / 2 + (number - (len(lines) - 1) / 2) * 16
            self.text(x + width / 2, middle, short(line), look, "middle")
            if short(line) != line:
                self._parts.append(f"<title>{escape(_printable(line))}</title>")
        self._parts.append("</g>")

    def place(self, x: float, y: float, width: float, height: float, label: str) -> None:
        """A processor, named at its upper edge, around what is drawn next."""
        self.kinds.add("place")
        self._open("place", x, y, width, height)
        self.text(x + width / 2, y + 12, label, "small quiet", "middle")
        self._parts.append("</g>")

    def module(self, x: float, middle: float, rows: Sequence[Sequence[str]], moved: frozenset[str]) -> None:
        """One box for all the elements; those that ``moved`` are marked."""
        top, width, height = middle - len(rows) * BOX / 2, rows_width(rows), len(rows) * BOX
        self.box("module", x, top, width, height)
        for number, row in enumerate(rows):
            left = x
            for name in row:
                if left > x:
                    self._parts.append(_stroke("module", left, top + 5, left, top + BOX - 5))
                room = box_width(name) if name != row[-1] else x + width - left
                kind = "moved" if name in moved else "element"
                self.box(kind, left + 3, top + 3, room - 6, BOX - 6, name)
                left += room
            top += BOX
            if number < len(rows) - 1:
                self._parts.append(_stroke("module", x + 5, top, x + width - 5, top))

    def arrow(self, kind: str, *points: tuple[float, float]) -> None:
        """Straight from point to point."""
        self.path(kind, polyline(points), points)

    def path(self, kind: str, path: str, points: Sequence[tuple[float, float]]) -> None:
        """Along any SVG path, which stays within the box around the points."""
        self.kinds.add(kind)
        for x, y in points:
            self._reach(x, y)
        self._parts.append(f'<path class="line {kind}" marker-end="url(#{kind})" d="{path}"/>')

    def svg(self, title: str, description: str) -> str:
        """The picture with its legend; ``description``: what it shows, for those who do not see it."""
        self._legend()
        heads = "".join(_head(it) for it in LINES if it in self.kinds)
        page = f'<defs>{heads}</defs><rect class="page" width="100%" height="100%"/>'
        size = round(self.width + MARGIN), round(self.height + MARGIN)
        return document(size, title, description, _style(), [page, *self._parts])

    def _open(self, kind: str, x: float, y: float, width: float, height: float) -> None:
        self._reach(x + width, y + height)
        self._parts.append(
            f'<g class="{kind}"><rect x="{x:.0f}" y="{y:.0f}" width="{x + width - round(x):.0f}" '
            f'height="{y + height - round(y):.0f}" rx="5"/>'
        )

    def _legend(self) -> None:
        """What the kinds mean, in as many rows as it takes."""
        y, x, most = self.height + 2 * MARGIN, MARGIN, max(self.width, 420.0)
        for kind, words in (BOXES | LINES).items():
            if kind not in self.kinds:
                continue
            room = 34 + width_of(words, SMALL)
            if x > MARGIN and x + room > most:
                x, y = MARGIN, y + 20
            if kind in BOXES:
                self.box(kind, x, y - 7, 26, 14)
            else:
                self.arrow(kind, (x, y), (x + 26, y))
            self.text(x + 34, y, words, "small quiet")
            x += room + 16

    def _reach(self, x: float, y: float) -> None:
        self.width, self.height = max(self.width, x), max(self.height, y)


def document(size: tuple[int, int], title: str, description: str, style: str, parts: Iterable[str]) -> str:
    """The SVG text of a picture that is described to those who do not see it."""
    width, height = size
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        'role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(_printable(title))}</title>',
        f'<desc id="description">{escape(_printable(description))}</desc>',
        f"<style>{style}</style>",
        *parts,
        "</svg>\n",
    ]
    return "\n".join(lines)


def rows_width(rows: Sequence[Sequence[str]]) -> float:
    """Of a module with these rows of elements."""
    return max(sum(map(box_width, row)) for row in rows)


def rows_within(names: Sequence[str], most: float) -> list[list[str]]:
    """The names in rows that are no wider than ``most``, where a name is not wider alone."""
    rows: list[list[str]] = []
    for name in names:
        if rows and sum(map(box_width, [*rows[-1], name])) <= most:
            rows[-1].append(name)
        else:
            rows.append([name])
    return rows


def polyline(points: Iterable[tuple[float, float]]) -> str:
    """An SVG path straight from point to point."""
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)


def curve(*points: tuple[float, float]) -> str:
    """An SVG path through the points that leaves and enters each horizontally."""
    path = f"M{points[0][0]:.0f} {points[0][1]:.0f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (x1 + x2) / 2
        straight = f"H{x2:.0f}"
        path += straight if y1 == y2 else f"C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    return path


def _stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="{kind} seam" d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}"/>'


def _head(kind: str) -> str:
    return (
        f'<marker id="{kind}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="{kind} head" d="M0 0L8 4L0 8z"/></marker>'
    )


def _style() -> str:
    fixed = (
        f"text{{font:{SIZE:.0f}px {_FONTS}}}.small{{font-size:{SMALL:.0f}px}}.bold{{font-weight:bold}}"
        ".line{fill:none;stroke-width:1.5}.module{stroke-width:1.5}.seam{stroke-width:1}.moved{stroke-width:1.5}"
        ".element{fill:none}.head{stroke:none}.halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}"
    )
    dashes = "".join(f".line.{kind}{{stroke-dasharray:{it}}}" for kind, it in _DASHES.items())
    return f"{fixed}{dashes}{_coloured(LIGHT)}@media(prefers-color-scheme:dark){{{_coloured(DARK)}}}"


def _coloured(colours: Colours) -> str:
    page = f".page{{fill:{colours.page}}}.halo{{stroke:{colours.page}}}"
    rules = [page, f"text{{fill:{colours.ink}}}.quiet{{fill:{colours.quiet}}}"]
    for kind, (fill, border) in colours.boxes.items():
        rules.append(f".{kind}>rect{{fill:{fill};stroke:{border}}}.{kind}.seam{{stroke:{border}}}")
    rules += [f".line.{kind}{{stroke:{it}}}.{kind}.head{{fill:{it}}}" for kind, it in colours.lines.items()]
    return "".join(rules)
