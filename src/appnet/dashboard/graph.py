"""The graph of an application's services as a picture in a page, whose labels are cells of the table of edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from appnet.dashboard.texts import text_of
from appnet.optimize.picture.canvas import short
from appnet.optimize.picture.services import Edge, Layout, Way

MOST_EDGES = 40
"""With more of them the picture would say less than the table alone."""
_MARGIN = 16
_ROOM = "99,999 calls/s, 99.9 % refused"  # labels may grow to
_OPEN = """<svg class="graph" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"
viewBox="0 0 {width} {height}" role="group" aria-label="Services, and who calls whom; the table below says the same">
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"
markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>"""


@dataclass(frozen=True)
class Label:
    """Of an edge: ``href``, the address of its page; ``parts``, texts that stand one after the other. A part may be the
    text of a cell, as TABLE/COLUMN/KEY; of others this is empty."""

    href: str
    parts: tuple[tuple[str, str], ...]


def graph(edges: Mapping[Edge, Label]) -> str:
    """SVG markup."""
    layout = Layout(dict.fromkeys(edges, _ROOM))
    boxes = [(x + width, y + height) for x, y, width, height in layout.boxes.values()]
    points = [*boxes, *(it for way in layout.ways.values() for it in (*way.points, way.label_at))]
    width, height = (round(max(it[axis] for it in points)) + _MARGIN for axis in (0, 1))
    return "\n".join(
        [
            _OPEN.format(width=width, height=height),
            *(f'<path d="{it.path}" marker-end="url(#head)"/>' for it in layout.ways.values()),
            *(_label(edge, it, edges[edge]) for edge, it in layout.ways.items()),
            *(_box(name, *it) for name, it in layout.boxes.items()),
            "</svg>",
        ]
    )


def _label(edge: Edge, way: Way, label: Label) -> str:
    x, y = way.label_at
    parts = "".join(
        f'<tspan data-cell="{escape(cell)}">{text_of(text)}</tspan>' if cell else text_of(text)
        for text, cell in label.parts
    )
    return (
        f'<a href="{escape(label.href)}"><title>{text_of(f"{edge[0]} calls {edge[1]}")}</title>'
        f'<text class="label" x="{x:.0f}" y="{y + 4:.0f}" text-anchor="{way.anchor}">{parts}</text></a>'
    )


def _box(name: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<g><title>{text_of(name)}</title><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'rx="5"/><text x="{x + width / 2:.0f}" y="{y + height / 2 + 5:.0f}" text-anchor="middle">'
        f"{text_of(short(name))}</text></g>"
    )
