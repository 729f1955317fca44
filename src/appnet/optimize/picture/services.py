"""The graph of an application's services, with what an RPC costs on each edge that has a chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appnet.optimize.explain import Explanation
from appnet.optimize.picture.canvas import BOX, MARGIN, PAD, SMALL, Canvas, box_width, curve, polyline, width_of

_BEND, _STEP, _ENTRY, _LANE = 56.0, 22.0, 20.0, 18.0

Edge = tuple[str, str]
"""A client and the server that it calls."""


def draw_services(canvas: Canvas, edges: Sequence[Edge], explanations: Sequence[Explanation]) -> None:
    """Services in columns, callers left of those that they call; edges against that go below all others."""
    layout = Layout(_costs(edges, explanations))
    for it in layout.ways.values():
        canvas.path("request", it.path, it.points)
    for it in layout.ways.values():
        if it.label:
            canvas.text(*it.label_at, it.label, "small halo", it.anchor)
    for name, (x, y, width, height) in layout.boxes.items():
        canvas.box("service", x, y, width, height, name)


def _costs(edges: Sequence[Edge], explanations: Sequence[Explanation]) -> dict[Edge, str]:
    """What stands on each edge."""
    costs: dict[Edge, list[str]] = {it: [] for it in edges}
    for it in explanations:
        costs.setdefault((it.client, it.server), []).append(f"{it.written_cost:.1f} → {it.cost:.1f} µs")
    return {edge: it[0] if len(it) == 1 else f"{len(it)} chains" if it else "" for edge, it in costs.items()}


@dataclass(frozen=True)
class Way:
    """Where an edge goes: an SVG ``path``, within the box around the ``points``. ``label_at``: where its ``label``
    stands, ``start``, ``middle`` or ``end`` of it as ``anchor`` says."""

    path: str
    points: tuple[tuple[float, float], ...]
    label: str
    label_at: tuple[float, float]
    anchor: str


class Layout:
    """Where services and edges are, by what stands on each edge. ``boxes``: x, y, width and height of each service.
    ``ways``: in the order in which they are drawn."""

    def __init__(self, labels: Mapping[Edge, str]) -> None:
        self._labels = labels
        columns = _columns(labels)
        self._forward = [it for it in labels if columns[it[0]] < columns[it[1]]]
        backward = [it for it in labels if columns[it[0]] >= columns[it[1]]]
        self._entries = {name: [it for it in labels if it[1] == name] for name in columns}
        self._lay_out(columns, indent=_BEND if backward else 0)
        self.boxes = {name: (*place, self._heights[name]) for name, place in self._places.items()}
        self.ways = {it: self._backward_way(it, number) for number, it in enumerate(backward)}
        self.ways |= {it: self._forward_way(it) for it in self._forward}

    def _lay_out(self, columns: dict[str, int], indent: float) -> None:
        """Where each service is, and where the edges that pass a column pass it; each near to where it is called."""
        passing = [(edge, it) for edge in self._forward for it in range(columns[edge[0]] + 1, columns[edge[1]])]
        stacks: list[list[str | Edge]] = [
            [*(it for it in columns if columns[it] == number), *(edge for edge, it in passing if it == number)]
            for number in range(max(columns.values()) + 1)
        ]
        self._heights = {it: max(BOX, len(self._entries[it]) * _ENTRY + PAD) for it in columns}
        heights = [sum(map(self._height, stack)) + (len(stack) - 1) * _STEP for stack in stacks]
        self._bottom = MARGIN + max(heights)
        self._places: dict[str, tuple[float, float, float]] = {}
        self._passes: dict[Edge, list[tuple[float, float]]] = {it: [] for it in self._forward}
        x = MARGIN + indent
        for number, stack in enumerate(stacks):
            names = [it for it in stack if isinstance(it, str)]
            wide = max(map(box_width, names), default=0.0)
            x += self._run(names) if number else 0.0
            y = MARGIN + (max(heights) - heights[number]) / 2
            for it in sorted(stack, key=self._called_at):
                height = self._height(it)
                if isinstance(it, str):
                    self._places[it] = (x, y, wide)
                else:
                    self._passes[it] += [(x, y + height / 2), (x + wide, y + height / 2)]
                y += height + _STEP
            x += wide + _BEND

    def _height(self, it: str | Edge) -> float:
        return self._heights[it] if isinstance(it, str) else _ENTRY

    def _called_at(self, it: str | Edge) -> float:
        """The height at which edges come to it from the columns before, on average."""
        edges = [edge for edge in self._entries[it] if edge in self._passes] if isinstance(it, str) else [it]
        heights = [[self._leaves(edge[0]), *self._passes[edge]][-1][1] for edge in edges]
        return sum(heights) / len(heights) if heights else 0.0

    def _run(self, names: Iterable[str]) -> float:
        """How long edges go straight before a column: as far as their costs take room."""
        texts = [self._labels[it] for name in names for it in self._entries[name] if it in self._forward]
        return max((width_of(it, SMALL) + 2 * PAD for it in texts if it), default=PAD)

    def _leaves(self, name: str) -> tuple[float, float]:
        x, y, width = self._places[name]
        return x + width, y + self._heights[name] / 2

    def _enters(self, edge: Edge) -> tuple[float, float]:
        x, y, _ = self._places[edge[1]]
        entries = self._entries[edge[1]]
        return x, y + self._heights[edge[1]] / 2 + (entries.index(edge) - (len(entries) - 1) / 2) * _ENTRY

    def _forward_way(self, edge: Edge) -> Way:
        """From column to column, and the label where it enters."""
        x, y = self._enters(edge)
        run = self._run(it for it, place in self._places.items() if place[0] == x)
        points = [self._leaves(edge[0]), *self._passes[edge], (x - run, y), (x, y)]
        return Way(curve(*points), tuple(points), self._labels[edge], (x - PAD, y - 8), "end")

    def _backward_way(self, edge: Edge, number: int) -> Way:
        """Around all others, on a lane of its own."""
        (x1, y1), (x2, y2), lane = self._leaves(edge[0]), self._enters(edge), self._bottom + (number + 1) * _LANE
        shift = 4.0 * (number % 3)
        points = [(x1, y1), (x1 + 12 + shift, y1), (x1 + 12 + shift, lane), (x2 - 16 - shift, lane)]
        points += [(x2 - 16 - shift, y2), (x2, y2)]
        return Way(polyline(points), tuple(points), self._labels[edge], ((x1 + x2) / 2, lane - 8), "middle")


def _columns(edges: Iterable[Edge]) -> dict[str, int]:
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
