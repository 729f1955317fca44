"""Plans as a picture: edges with their elements, as written and as planned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from appnet.application.model import Side
from appnet.optimize.explain import Explanation

_ROW, _HEADING, _STEP, _BOX, _GAP, _LETTER, _MARGIN = 92, 24, 56, 30, 10, 7.2, 16
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.service{fill:#dfe9f5;stroke:#4a6fa5}.proxy{fill:#fafafa;stroke:#999}"
    ".element{fill:#fff3d6;stroke:#c28e0e}.moved{fill:#d9f2dd;stroke:#2e8b57}.wire{stroke:#666}.title{font-weight:bold}"
    # What stands on a line is readable, and all of it on a dark page.
    ".cost{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}.page{fill:#fff}"
)


def picture(explanations: Sequence[Explanation], edges: Sequence[tuple[str, str]] = ()) -> str:
    """The SVG text. Elements in another place, or elsewhere in the order, than as written are green.

    Each chain before and after; of an application with several ``edges``, given as client and server, first the graph
    of its services, with the costs of the chains.
    """
    parts: list[str] = []
    width, top = 0.0, 0.0
    if len(edges) > 1:
        graph = _Graph(edges, explanations)
        parts += graph.draw()
        width, top = graph.width, graph.height
    for it in explanations:
        if len(edges) > 1 or len(explanations) > 1:
            parts.append(f'<text class="title" x="{_MARGIN}" y="{top + 20:.0f}">{escape(it.edge)}</text>')
            top += _HEADING
        for row in _rows(it):
            parts.append(row.draw(top, it.client, it.server))
            width = max(width, row.width)
            top += _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + _MARGIN:.0f}" height="{top + 8:.0f}" '
        f'role="img"><title>Chains as written and as planned</title><style>{_STYLE}</style>'
        f'<rect class="page" width="100%" height="100%"/>{"".join(parts)}</svg>\n'
    )


def _rows(explanation: Explanation) -> tuple[_Row, _Row]:
    written = [it for names in explanation.written.values() for it in names]
    planned = [it for names in explanation.planned.values() for it in names]
    stay = _longest_common(written, planned)
    moved = {it for it in planned if it not in stay} | {it.element for it in explanation.moves}
    before, after = (_sides(explanation, it) for it in (explanation.written, explanation.planned))
    return (
        _Row(f"as written: {explanation.written_cost:.1f} us", before, set(), fused=False),
        _Row(f"as planned ({explanation.level}): {explanation.cost:.1f} us", after, moved, fused=True),
    )


def _sides(explanation: Explanation, placed: dict[str, list[str]]) -> dict[Side, list[tuple[str, list[str]]]]:
    """On each side the name of each place that has elements, if it has one of its own, and the elements."""
    return {
        side: [
            (label.removeprefix(side.value).strip(), placed[label])
            for label, there in explanation.places.items()
            if there is side and placed[label]
        ]
        for side in Side
    }


class _Graph:
    """Services in columns, callers left of those that they call where no cycle forbids it; costs on the edges."""

    def __init__(self, edges: Sequence[tuple[str, str]], explanations: Sequence[Explanation]) -> None:
        self._costs = dict.fromkeys(edges, "")
        for it in explanations:
            before, text = self._costs[it.client, it.server], f"{it.written_cost:.1f} \u2192 {it.cost:.1f} us"
            self._costs[it.client, it.server] = f"{before}, {text}" if before else text
        columns = _columns(self._costs)
        self._longest = max(len(it) for it in self._costs.values()) * _LETTER * 0.85
        wide = max(len(it) for it in columns) * _LETTER + 2 * _GAP
        rows = max(list(columns.values()).count(it) for it in columns.values())
        self._box_width, self.height = wide, rows * _STEP + 2 * _MARGIN
        self.width = _MARGIN + (max(columns.values()) + 1) * (wide + self._longest + 2 * _GAP) - self._longest
        self._places: dict[str, tuple[float, float]] = {}
        for column in range(max(columns.values()) + 1):
            names = [it for it, number in columns.items() if number == column]
            for number, name in enumerate(names):
                x = _MARGIN + column * (wide + self._longest + 2 * _GAP)
                self._places[name] = (x, self.height / 2 + (number - (len(names) - 1) / 2) * _STEP)

    def draw(self) -> Iterator[str]:
        """The arrows, then the services over them."""
        yield (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>'
        )
        for (client, server), cost in self._costs.items():
            (x1, y1), (x2, y2) = self._places[client], self._places[server]
            x1 += self._box_width
            middle = (x1 + x2) / 2
            yield (
                f'<path class="wire" fill="none" marker-end="url(#arrow)" '
                f'd="M{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"/>'
                f'<text class="cost" x="{x2 - _GAP:.0f}" y="{y2 - 6:.0f}" text-anchor="end">{escape(cost)}</text>'
            )
        for name, (x, y) in self._places.items():
            yield (
                f'<rect class="service" x="{x:.0f}" y="{y - _BOX / 2:.0f}" width="{self._box_width:.0f}" '
                f'height="{_BOX}" rx="4"/><text x="{x + self._box_width / 2:.0f}" y="{y + 4:.0f}" '
                f'text-anchor="middle">{escape(name)}</text>'
            )


def _columns(edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The column of each service: one behind the last of its callers; in a cycle somebody has to be first."""
    callers: dict[str, set[str]] = {}
    for client, server in edges:
        callers.setdefault(client, set())
        callers.setdefault(server, set()).add(client)
    columns: dict[str, int] = {}
    while len(columns) < len(callers):
        waiting = [it for it in callers if it not in columns]
        ready = [it for it in waiting if callers[it] <= columns.keys()] or waiting[:1]
        behind = {it: max((columns[caller] for caller in callers[it] & columns.keys()), default=-1) for it in ready}
        columns |= {it: column + 1 for it, column in behind.items()}
    return columns


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


class _Row:
    """One drawing of the edge, from left to right; ``width`` is known once it is drawn."""

    def __init__(
        self, title: str, sides: dict[Side, list[tuple[str, list[str]]]], moved: set[str], *, fused: bool
    ) -> None:
        self._title, self._sides, self._moved, self._fused = title, sides, moved, fused
        self.width = 0.0

    def draw(self, top: float, client: str, server: str) -> str:
        """The row's shapes with its title at ``top``."""
        self.width = float(_MARGIN)
        title = f'<text class="title" x="{_MARGIN}" y="{top + 20}">{escape(self._title)}</text>'
        middle = top + 52
        parts = [
            title,
            *self._box(client, "service", middle),
            *self._places(Side.CLIENT, middle),
            *self._wire(middle),
            *self._places(Side.SERVER, middle),
            *self._box(server, "service", middle),
        ]
        return "".join(parts)

    def _box(self, text: str, kind: str, middle: float) -> Iterator[str]:
        width = len(text) * _LETTER + 2 * _GAP
        yield (
            f'<rect class="{kind}" x="{self.width:.0f}" y="{middle - _BOX / 2:.0f}" '
            f'width="{width:.0f}" height="{_BOX}" rx="4"/>'
            f'<text x="{self.width + width / 2:.0f}" y="{middle + 4:.0f}" text-anchor="middle">{escape(text)}</text>'
        )
        self.width += width + _GAP

    def _places(self, side: Side, middle: float) -> Iterator[str]:
        for label, names in self._sides[side]:
            start = self.width
            yield from self._place(names, middle)
            if label:
                yield (
                    f'<text class="cost" x="{(start + self.width - _GAP) / 2:.0f}" y="{middle + _BOX / 2 + 17:.0f}" '
                    f'text-anchor="middle">{escape(label)}</text>'
                )

    def _place(self, names: list[str], middle: float) -> Iterator[str]:
        start = self.width
        self.width += _GAP / 2
        boxes: list[str] = []
        for name in names:
            boxes += self._box(name, "moved" if name in self._moved else "element", middle)
            if self._fused:
                self.width -= _GAP
        self.width += _GAP / 2 if self._fused else -_GAP / 2
        yield (
            f'<rect class="proxy" x="{start:.0f}" y="{middle - _BOX / 2 - 6:.0f}" width="{self.width - start:.0f}" '
            f'height="{_BOX + 12}" rx="6"/>'
        )
        yield from boxes
        self.width += _GAP

    def _wire(self, middle: float) -> Iterator[str]:
        yield (
            f'<line class="wire" x1="{self.width:.0f}" y1="{middle:.0f}" x2="{self.width + 40:.0f}" y2="{middle:.0f}"/>'
        )
        self.width += 40 + _GAP
