"""Each chain of an application as written and as planned, from the client on the left to the server on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appnet.application.model import Side
from appnet.optimize.explain import Explanation, told_briefly
from appnet.optimize.picture.canvas import (
    BOX,
    MARGIN,
    PAD,
    SMALL,
    Canvas,
    box_width,
    rows_width,
    rows_within,
    width_of,
)
from appnet.optimize.picture.services import draw_services

_MOST = 880.0  # where pages show pictures as they are
_STEP, _WIRE, _LABEL, _LEAST, _GAP = 20.0, 48.0, 22.0, 120.0, 8.0


def picture(explanations: Sequence[Explanation], edges: Sequence[tuple[str, str]] = ()) -> str:
    """The SVG text. Elements in another place, or elsewhere in the order, than as written are marked.

    Each chain before and after; of an application with several ``edges``, given as client and server, first the graph
    of its services, with the costs of the chains.
    """
    canvas, several = Canvas(), len(edges) > 1 or len(explanations) > 1
    if len(edges) > 1:
        draw_services(canvas, edges, explanations)
    for it in explanations:
        if several:
            canvas.text(MARGIN, canvas.height + 2 * MARGIN, it.edge, "bold")
        for number, row in enumerate(_rows(it)):
            row.draw(canvas, canvas.height + (_GAP if several and not number else 2 * MARGIN), it.client, it.server)
    title = "The services of an application, and its chains" if len(edges) > 1 else "Chains"
    calls = [f"{client} calls {server}." for client, server in edges]
    told = [f"{it.edge}: {', '.join(map(str.strip, told_briefly(it)))}." for it in explanations]
    return canvas.svg(f"{title} as written and as planned", " ".join([*calls, *told]))


def _rows(explanation: Explanation) -> Iterator[_Row]:
    """As written and as planned; one row where that is the same."""
    written = [it for names in explanation.written.values() for it in names]
    planned = [it for names in explanation.planned.values() for it in names]
    stay = _longest_common(written, planned)
    moved = frozenset(it for it in planned if it not in stay) | {it.element for it in explanation.moves}
    before = tuple(_places(explanation, explanation.written, fused=False))
    after = tuple(_places(explanation, explanation.planned, fused=explanation.fused))
    level = f"as planned ({explanation.level})"
    if before == after:
        yield _Row(f"as written, and {level}: {explanation.cost:.1f} µs", after, moved)
    else:
        yield _Row(f"as written: {explanation.written_cost:.1f} µs", before, frozenset())
        yield _Row(f"{level}: {explanation.cost:.1f} µs", after, moved)


@dataclass(frozen=True)
class _Place:
    """A processor with its modules, each a list of elements."""

    side: Side
    label: str
    modules: tuple[tuple[str, ...], ...]

    def rows(self, most: float) -> list[list[list[str]]]:
        """Of each module its rows of elements, none wider than ``most`` where that can be."""
        return [rows_within(it, most) for it in self.modules]


def _places(explanation: Explanation, placed: dict[str, list[str]], *, fused: bool) -> Iterator[_Place]:
    """Those that have elements, in request order."""
    for label, side in explanation.places.items():
        names = placed[label]
        if names:
            modules = (tuple(names),) if fused else tuple((it,) for it in names)
            yield _Place(side, f"{side.value}'s {label.removeprefix(side.value).strip() or 'side'}", modules)


@dataclass(frozen=True)
class _Row:
    """One drawing of the edge, from left to right."""

    title: str
    places: tuple[_Place, ...]
    moved: frozenset[str]

    def draw(self, canvas: Canvas, top: float, client: str, server: str) -> None:
        """With the middle of its title at ``top``."""
        blocks = self._blocks(client, server)
        canvas.text(MARGIN, top, self.title)
        height = max((it.height for it in blocks), default=BOX)
        middle = canvas.height + MARGIN / 2 + height / 2 + (_LABEL / 2 if blocks else 0)
        x = _box(canvas, client, MARGIN, middle)
        side = Side.CLIENT
        for it in blocks:
            x = _arrow(canvas, x, middle, _STEP if it.place.side is side else _WIRE)
            side = it.place.side
            it.draw(canvas, x, middle, self.moved)
            x += it.width
        x = _arrow(canvas, x, middle, _STEP if side is Side.SERVER else _WIRE)
        _box(canvas, server, x, middle)

    def _blocks(self, client: str, server: str) -> list[_Block]:
        """The places, as wide as they are if there is room for them, else each as wide as its share."""
        fixed = MARGIN + box_width(client) + box_width(server) + 2 * _STEP + _WIRE
        whole = [_Block(it, float("inf")) for it in self.places]
        if fixed + sum(it.width for it in whole) <= _MOST:
            return whole
        share = (_MOST - fixed) / len(self.places) - _STEP - 2 * PAD
        return [_Block(it, max(share, _LEAST)) for it in self.places]


class _Block:
    """A processor as a box: lines of modules, between which requests go."""

    def __init__(self, place: _Place, most: float) -> None:
        self.place = place
        self._lines: list[list[list[list[str]]]] = []
        for rows in place.rows(most):
            if self._lines and _line_width([*self._lines[-1], rows]) <= most:
                self._lines[-1].append(rows)
            else:
                self._lines.append([rows])
        self._heights = [max(map(len, it)) * BOX for it in self._lines]
        inner = max([*map(_line_width, self._lines), width_of(place.label, SMALL)])
        self.width, self.height = inner + 2 * PAD, sum(self._heights) + (len(self._lines) - 1) * PAD + 2 * PAD

    def draw(self, canvas: Canvas, x: float, middle: float, moved: frozenset[str]) -> None:
        """Around ``middle``, with its name above that."""
        top = middle - self.height / 2
        canvas.place(x, top - _LABEL + PAD, self.width, self.height + _LABEL - PAD, self.place.label)
        top += PAD
        for line, height in zip(self._lines, self._heights, strict=True):
            left = x + (self.width - _line_width(line)) / 2 if len(self._lines) == 1 else x + PAD
            for number, rows in enumerate(line):
                if number:
                    left = _arrow(canvas, left, top + height / 2, _STEP)
                canvas.module(left, top + height / 2, rows, moved)
                left += rows_width(rows)
            top += height + PAD


def _line_width(line: Sequence[Sequence[Sequence[str]]]) -> float:
    return sum(map(rows_width, line)) + (len(line) - 1) * _STEP


def _arrow(canvas: Canvas, x: float, y: float, length: float) -> float:
    """Draws a request's way and says where it ends."""
    canvas.arrow("request", (x, y), (x + length, y))
    return x + length


def _box(canvas: Canvas, service: str, x: float, middle: float) -> float:
    width = box_width(service)
    canvas.box("service", x, middle - BOX / 2, width, BOX, service)
    return x + width


def _longest_common(one: list[str], other: list[str]) -> set[str]:
    """The most elements that keep their order among each other."""
    place = {it: number for number, it in enumerate(one)}
    best: list[list[str]] = []
    for it in other:
        before = [chain for chain in best if place[chain[-1]] < place[it]]
        best.append([*_longest(before), it])
    return set(_longest(best))


def _longest(chains: list[list[str]]) -> list[str]:
    return max(chains, key=len) if chains else []
