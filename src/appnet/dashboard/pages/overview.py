"""The first page: the graph of services, all edges, and who refuses calls."""

from __future__ import annotations

from collections.abc import Iterator

from appnet.dashboard.counts import Grown
from appnet.dashboard.graph import MOST_EDGES, Label, graph
from appnet.dashboard.model import Cell, Column, Drawing, Heading, Lines, Page, Row, Section, Table
from appnet.dashboard.pages.refusals import refusals_table
from appnet.dashboard.pages.view import NOWS, View, address, count_cell, nows, rate_cell
from appnet.dashboard.running import EdgeKey
from appnet.observe.points import REFUSALS

_MOST_EDGES, _MOST_REFUSING, _LATEST = 2_000, 200, 10
_CALLS, _SHARE = 1, 3  # columns that labels of the graph repeat


async def overview(view: View) -> Page:
    """All that runs."""
    table = await _edges(view)
    sections = [*_graphs(view, table), table, await _refusing(view), refusals_table(view, _LATEST), *_lost(view)]
    return Page("Overview", tuple(sections))


async def _edges(view: View) -> Table:
    elements = _elements(view)
    every = dict.fromkeys([*(edge for it in view.applications for edge in it.edges), *view.counts.known()])
    rows = []
    async for edge, seen in view.counts.edges(list(every)[:_MOST_EDGES]):
        chain = Cell(elements.get(edge, ""), look="quiet")
        rows.append(Row(_key(edge), (Cell(str(edge), address("edge", edge)), *nows(seen), chain)))
    more = f", {_MOST_EDGES:,} of {len(every):,}" if len(every) > _MOST_EDGES else ""
    columns = (Column("edge"), *NOWS, Column("elements"))
    return Table("edges", f"Edges{more}", columns, rows, "No application runs yet.", "Search edges", sortable=True)


def _key(edge: EdgeKey) -> str:
    return "\n".join(edge)


def _elements(view: View) -> dict[EdgeKey, str]:
    """The elements on each edge, as they run: one behind the other, with a bar where calls change their place."""
    found: dict[EdgeKey, list[str]] = {}
    for it in view.applications:
        for plan in it.running.plans if it.running is not None else ():
            edge = EdgeKey(it.namespace, plan.plan.edge.client, plan.plan.edge.server)
            parts = (" + ".join(one.name.value for one in segment.elements) for segment in plan.plan.segments)
            found.setdefault(edge, []).append(" | ".join(parts))
    return {edge: "; ".join(chains) for edge, chains in found.items()}


def _graphs(view: View, table: Table) -> Iterator[Section]:
    """Of each application; of many edges none, so that the page stays one that can be read."""
    edges = sum(len(it.edges) for it in view.applications)
    if edges > MOST_EDGES:
        yield Lines((f"{edges:,} edges are too many for a picture. Search the table for a service or an element.",))
        return
    rows = {it.key: it for it in table.rows}
    for it in view.applications:
        if len(view.applications) > 1:
            yield Heading(f"{it.namespace}/{it.name}" if it.namespace else it.name)
        if it.edges:
            yield Drawing(graph({edge[1:]: _label(edge, rows[_key(edge)]) for edge in it.edges}), repr(it.edges))


def _label(edge: EdgeKey, row: Row) -> Label:
    calls, share = ((row.cells[it].text, f"edges/{it}/{row.key}") for it in (_CALLS, _SHARE))
    return Label(address("edge", edge), (calls, (" calls/s, ", ""), share, (" refused", "")))


async def _refusing(view: View) -> Table:
    """Who refuses most lately, then who has refused most."""
    found: dict[tuple[EdgeKey, str, str, str], Grown] = {}
    async for edge, _ in view.counts.edges(view.counts.known()):
        for key, it in view.counts.grown(edge, REFUSALS):
            of = (edge, key.element, key.handler, key.detail)
            found[of] = found.get(of, Grown()).plus(it)
    rows = []
    most = sorted(found.items(), key=lambda it: (-(it[1].rate or 0), -it[1].count))
    for (edge, element, handler, status), it in most[:_MOST_REFUSING]:
        leads = address("element", edge, element=element) if element else ""
        cells = (Cell(element or "no element", leads), Cell(str(edge), address("edge", edge)), Cell(handler))
        counted = (Cell(status, look="code"), rate_cell(it.rate), count_cell(it.count))
        rows.append(Row("\n".join((*edge, element, handler, status)), (*cells, *counted)))
    columns = (
        *map(Column, ("element", "edge", "handler", "status")),
        Column("per second", numbers=True),
        Column("count", numbers=True),
    )
    return Table("refusing", "Refused by", columns, rows, "No call was refused.", sortable=True)


def _lost(view: View) -> Iterator[Section]:
    """What is missing in what is shown."""
    telemetry = view.telemetry
    lost = [*telemetry.kept.lost(), *(telemetry.forwarder.lost() if telemetry.forwarder is not None else ())]
    if telemetry.totals.refused:
        lost.append(f"{telemetry.totals.refused} counts were not taken: there are too many instances or series")
    if view.counts.left_out:
        lost.append(f"{view.counts.left_out} series are not in these tables: there are too many")
    if lost:
        rows = [Row(str(number), (Cell(it),)) for number, it in enumerate(lost)]
        yield Table("lost", "What is missing here", (Column("what"),), rows, "Nothing.")
