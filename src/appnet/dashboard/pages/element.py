"""An element on an edge: its match-action tables with hits for each row, what it refuses, and its state."""

from __future__ import annotations

from collections.abc import Iterator

from appnet.application.load import LoadedChain
from appnet.compile.pipeline import Version
from appnet.dashboard.counts import Grown
from appnet.dashboard.model import Cell, Column, Heading, Lines, Page, Row, Section, Table
from appnet.dashboard.pages.view import NONE, UnknownError, View, address, count_cell, rate_cell, share_cell, summed
from appnet.dashboard.running import EdgeKey
from appnet.ir.nodes import Element, Handler, StateClass
from appnet.ir.rows import match_action_rows
from appnet.ir.sharing import shares
from appnet.ir.words import handler_notes, share_notes, state_notes
from appnet.observe.points import ENTRIES, EVICTIONS, REFUSALS, REPLIES, ROW_HITS
from appnet.observe.store import StreamKey


async def element(view: View) -> Page:
    """The element that is asked for. Raises `UnknownError`."""
    edge, name = view.edge_asked(), view.asked.get("element", "")
    application = view.of_edge(edge)
    sections: list[Section] = []
    for version in application.versions if application is not None else ():
        for number, chain in enumerate(version.application.chains):
            at = (chain.chain.edge.client, chain.chain.edge.server)
            if at == (edge.client, edge.server) and name in chain.elements:
                sections += _of_chain(view, version, number, chain, edge, name)
    refused = _refusals(view, edge, name)
    if not sections and not refused.rows:
        raise UnknownError(f"There is no element {name} on {edge}; the page of the edge has those that there are.")
    if not sections:
        sections.append(Lines(("It is not in the versions that run.",)))
    above = (("Overview", "./"), (str(edge), address("edge", edge)))
    return Page(name, (refused, *sections), above)


def _refusals(view: View, edge: EdgeKey, name: str) -> Table:
    """By handler and status, of all versions."""
    found: dict[tuple[str, str, str], list[Grown]] = {}
    for metric in (REFUSALS, REPLIES):
        for key, it in view.counts.grown(edge, metric):
            if key.element == name:
                what = key.detail if metric == REFUSALS else "answered"
                found.setdefault((key.side, key.handler, what), []).append(it)
    rows = []
    for (side, handler, what), several in sorted(found.items()):
        grown = summed(several)
        cells = (Cell(what, look="code"), Cell(handler, look="code"), Cell(side))
        rows.append(Row(f"{side}/{handler}/{what}", (*cells, rate_cell(grown.rate), count_cell(grown.count))))
    columns = (
        *map(Column, ("status", "handler", "side")),
        Column("per second", numbers=True),
        Column("count", numbers=True),
    )
    return Table("refused", "Calls that it refused or answered", columns, rows, "It has refused no call.")


def _of_chain(
    view: View, version: Version, number: int, chain: LoadedChain, edge: EdgeKey, name: str
) -> Iterator[Section]:
    found, methods = chain.elements[name], {it.signature.full_name.lstrip("/") for it in chain.methods}
    segment = next(it for it in version.plans[number].plan.segments if name in {one.name.value for one in it.elements})
    artifacts = [it for it in version.artifacts if it.chain is chain and it.segment.name == segment.name]
    codes = {one.version for it in artifacts for one in (it, *it.others)}
    hits: dict[tuple[str, str], Grown] = {}
    for key, it in view.counts.grown(edge, ROW_HITS):
        if key.element == name and key.version in codes and key.method.lstrip("/") in methods:
            row = key.handler, key.detail
            hits[row] = hits.get(row, Grown()).plus(it)
    place, tail = segment.place, f"{version.id}-{number}"
    yield Heading(f"On {', '.join(chain.chain.edge.methods)}, version {version.id}")
    yield Lines((f"It runs in the {place.side.value}'s {place.processor} as {place.target} code.",))
    for handler, body in found.handlers.items():
        yield _rows(handler, body, hits, view.counts.nothing, tail)
    held: dict[str, Grown] = {}
    for key, it in view.counts.grown(edge, ENTRIES):
        if key.element == name and key.version in codes:
            held[key.detail] = held.get(key.detail, Grown()).plus(it)
    yield _state(view, found, held, tail)
    evicted = summed(it for key, it in view.counts.grown(edge, EVICTIONS) if key.element == name)
    if evicted.count:
        entries = Row("all", (Cell("full Maps and Vecs"), rate_cell(evicted.rate), count_cell(evicted.count)))
        columns = (Column("of"), Column("per second", numbers=True), Column("entries", numbers=True))
        yield Table(f"evicted-{tail}", "Entries that it let go", columns, [entries], "")


def _rows(name: str, handler: Handler, hits: dict[tuple[str, str], Grown], nothing: Grown, tail: str) -> Table:
    """The match-action table of a handler. A row's share is of the hits of its match."""
    rows = match_action_rows(handler.body)
    matches: dict[str, list[Grown]] = {}
    for it in rows:
        if it.number:
            matches.setdefault(_match(it.number), []).append(hits.get((name, it.number), Grown()))
    shown = []
    for place, it in enumerate(rows):
        grown = hits.get((name, it.number), nothing)
        of = summed(matches.get(_match(it.number), ())).count
        counted = (rate_cell(grown.rate), count_cell(grown.count), share_cell(grown.count / of if of else None))
        blank = Cell("", look="quiet")
        cells = (
            Cell(it.number or NONE, look="code"),
            Cell("  " * it.depth + it.match, look="code"),
            Cell("; ".join(it.actions), look="code"),
            *((Cell(one.text, number=one.number) for one in counted) if it.number else (blank, blank, blank)),
        )
        shown.append(Row(f"{place}/{it.number}", cells))
    columns = (
        *map(Column, ("row", "match", "action")),
        *(Column(it, numbers=True) for it in ("hits/s", "hits", "share")),
    )
    notes = ", ".join(handler_notes(handler)) or "forwards"
    return Table(f"rows-{name}-{tail}", f"{name}: {notes}", columns, shown, "This handler only forwards.")


def _match(number: str) -> str:
    """The match of which the row is an arm."""
    return number.rstrip("abcdefghijklmnopqrstuvwxyz")


def _state(view: View, found: Element, held: dict[str, Grown], tail: str) -> Table:
    """``held``: how many entries variables have, of all instances together."""
    records, shared = view.telemetry.records.counts(), shares(found)
    rows = []
    for it in found.state:
        stream = it.state_class is StateClass.RECORD
        count = records.get(StreamKey(found.name, it.name), 0) if stream else None
        entries = held[it.name].count if it.name in held else None
        cells = (
            Cell(it.name, address("records", element=found.name) if stream else ""),
            Cell(str(it.type), look="code"),
            Cell(", ".join(state_notes(it))),
            Cell(share_notes(shared[it.name])),
            *(count_cell(one) if one is not None else Cell(NONE, look="quiet") for one in (entries, count)),
        )
        rows.append(Row(it.name, cells))
    columns = (
        *map(Column, ("variable", "type", "class", "between instances")),
        *(Column(it, numbers=True) for it in ("entries", "records")),
    )
    return Table(f"state-{tail}", "State", columns, rows, "It has no state.")
