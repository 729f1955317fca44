"""What all pages are made from, and what they have in common: addresses, numbers, and tables that several have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from appnet.dashboard.counts import Counts, Edge, Grown
from appnet.dashboard.model import Cell, Column, Row, Table
from appnet.dashboard.running import EdgeKey, Explanations, Running
from appnet.dashboard.trends import Trends
from appnet.observe.shown import time_shown
from appnet.observe.telemetry import Telemetry
from appnet.processors.processor import Acceptance

NONE = "–"
MOST_NODES = 500
"""In a table: each of them is asked how it stands."""
_LOOKS = {Acceptance.ACKED: "good", Acceptance.NACKED: "bad"}
NOWS = (
    Column("calls/s", numbers=True),
    Column("refused/s", numbers=True),
    Column("refused", numbers=True),
    Column("p50", numbers=True),
    Column("p99", numbers=True),
    Column("calls", numbers=True),
)
"""What is told of an edge; see `nows`."""


class UnknownError(Exception):
    """There is no such thing; the text says what there is."""


@dataclass(frozen=True)
class View:
    """What runs, and what came of it. ``asked``: the parameters of the page. ``acts``: who knows a token may change
    what runs."""

    applications: Sequence[Running]
    counts: Counts
    trends: Trends
    telemetry: Telemetry
    explanations: Explanations
    asked: Mapping[str, str]
    acts: bool = False

    def edge_asked(self) -> EdgeKey:
        """The edge that the page is about."""
        return EdgeKey(*(self.asked.get(it, "") for it in EdgeKey._fields))

    def of_edge(self, edge: EdgeKey) -> Running | None:
        """The application that the edge is a part of."""
        return next((it for it in self.applications if edge in it.edges), None)


def address(page: str, edge: EdgeKey | None = None, **parameters: str) -> str:
    """Where a page is."""
    named = {**(edge._asdict() if edge is not None else {}), **parameters}
    query = urlencode({key: it for key, it in named.items() if it})
    return f"{page}?{query}" if query else page


def rate_cell(rate: float | None, look: str = "") -> Cell:
    """So many a second."""
    text = NONE if rate is None else f"{rate:,.0f}" if rate >= 1_000 else f"{rate:.1f}"
    return Cell(text, number=rate, look=look if rate else "quiet")


def count_cell(count: int) -> Cell:
    """So many."""
    return Cell(f"{count:,}", number=count)


def share_cell(share: float | None) -> Cell:
    """A part of all."""
    text = NONE if share is None else f"{share * 100:.3g} %"
    return Cell(text, number=share, look="bad" if share and share >= 0.5 else "" if share else "quiet")


def time_cell(seconds: float | None) -> Cell:
    """A time that something took."""
    return Cell(time_shown(seconds) or NONE, number=seconds, look="" if seconds else "quiet")


def nows(seen: Edge) -> tuple[Cell, ...]:
    """The cells of `NOWS`."""
    return (
        rate_cell(seen.calls.rate),
        rate_cell(seen.refused.rate),
        share_cell(seen.share),
        time_cell(seen.p50),
        time_cell(seen.p99),
        count_cell(seen.calls.count),
    )


def summed(found: Iterable[Grown], total: Grown = Grown()) -> Grown:  # noqa: B008 -- nobody can change it
    """All together, and what there was before."""
    for it in found:
        total = total.plus(it)
    return total


async def nodes_table(applications: Iterable[Running], edge: EdgeKey | None = None) -> Table:
    """How nodes stand to their versions; of an edge, or all."""
    asked = [
        (it, node, meant)
        for it in applications
        for node, meant in it.nodes
        if edge is None or EdgeKey(it.namespace, node.end.client, node.end.server) == edge
    ]
    rows = []
    for application, node, meant in asked[:MOST_NODES]:
        answer = await node.answer(meant.id, 0) if meant is not None else None
        stands, look = (answer.acceptance.value, _LOOKS.get(answer.acceptance, "")) if answer else (NONE, "quiet")
        cells = (
            Cell(node.name),
            Cell(node.end.service),
            Cell(node.processor),
            Cell("yes" if node.running else "no", look="" if node.running else "bad"),
            Cell(meant.id if meant is not None else NONE, look="code"),
            Cell(stands, look=look),
            Cell(answer.error if answer else "", look="quiet"),
        )
        rows.append(Row(f"{application.namespace}/{application.name}/{node.name}", cells))
    more = f", {MOST_NODES} of {len(asked)}" if len(asked) > MOST_NODES else ""
    titles = ("node", "beside", "processor", "connected", "version", "stands", "says")
    columns = tuple(map(Column, titles))
    return Table("nodes", f"Nodes{more}", columns, rows, "No node is known.", "Search nodes", sortable=True)
