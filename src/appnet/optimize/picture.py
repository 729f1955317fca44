"""A plan as a picture: the edge with its elements, as written and as planned."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from appnet.network.placement import Side
from appnet.optimize.explain import Explanation

_ROW, _BOX, _GAP, _LETTER, _MARGIN = 92, 30, 10, 7.2, 16
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.service{fill:#dfe9f5;stroke:#4a6fa5}.proxy{fill:#fafafa;stroke:#999}"
    ".element{fill:#fff3d6;stroke:#c28e0e}.moved{fill:#d9f2dd;stroke:#2e8b57}.wire{stroke:#666}.title{font-weight:bold}"
)


def picture(explanation: Explanation, client: str, server: str) -> str:
    """The SVG text. Elements on another side or in another place than as written are green."""
    written = [it for side in Side for it in explanation.written[side.value]]
    planned = [it for side in Side for it in explanation.planned[side.value]]
    stay = _longest_common(written, planned)
    moved = {it for it in planned if it not in stay} | {it.element for it in explanation.moves}
    rows = [
        _Row(f"as written: {explanation.written_cost:.1f} us", explanation.written, set(), fused=False),
        _Row(f"as planned ({explanation.level}): {explanation.cost:.1f} us", explanation.planned, moved, fused=True),
    ]
    drawn = [row.draw(number * _ROW, client, server) for number, row in enumerate(rows)]
    width = max(row.width for row in rows) + _MARGIN
    body = "".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{len(rows) * _ROW + 8}" '
        f'role="img"><style>{_STYLE}</style>{body}</svg>\n'
    )


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

    def __init__(self, title: str, sides: dict[str, list[str]], moved: set[str], *, fused: bool) -> None:
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
            *self._proxy(self._sides[Side.CLIENT.value], middle),
            *self._wire(middle),
            *self._proxy(self._sides[Side.SERVER.value], middle),
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

    def _proxy(self, names: list[str], middle: float) -> Iterator[str]:
        if not names:
            return
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
