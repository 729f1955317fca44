"""An edge: what happens on it, its chains as written and as planned, and which versions judge its calls."""

from __future__ import annotations

from collections.abc import Iterator

from appnet.application.model import Edge as WrittenEdge
from appnet.compile.pipeline import Version
from appnet.dashboard.charts import chart
from appnet.dashboard.counts import Grown
from appnet.dashboard.model import Cell, Column, Heading, Image, Lines, Page, Row, Section, Table
from appnet.dashboard.pages.view import (
    NONE,
    NOWS,
    UnknownError,
    View,
    address,
    count_cell,
    nodes_table,
    nows,
    rate_cell,
    summed,
)
from appnet.dashboard.running import EdgeKey, Running
from appnet.dashboard.trends import STEP_SECONDS, STEPS
from appnet.observe.points import ENTRIES, REFUSALS
from appnet.observe.shown import time_shown
from appnet.optimize.explain import Explanation, told_briefly
from appnet.optimize.picture import picture


async def edge(view: View) -> Page:
    """The edge that is asked for. Raises `UnknownError`."""
    asked = view.edge_asked()
    application = view.of_edge(asked)
    if application is None and asked not in view.counts.known():
        raise UnknownError(f"There is no edge {asked}; the overview has those that there are.")
    sections: list[Section] = [_now(view, asked), *_lately(view, asked)]
    if application is not None:
        for version in application.versions:
            sections += _chains(view, application, version, asked)
        sections.append(_state(view, asked))
        sections.append(_modules(view, application, asked))
        sections.append(await nodes_table([application], asked))
    else:
        sections.append(Lines(("No application that runs here has this edge: others have sent counts of it.",)))
    return Page(str(asked), tuple(sections), (("Overview", "./"),))


def _now(view: View, asked: EdgeKey) -> Table:
    row = Row("now", (Cell("all methods"), *nows(view.counts.edge(asked))))
    return Table("now", "Calls", (Column("of"), *NOWS), [row], "")


def _lately(view: View, asked: EdgeKey) -> Iterator[Section]:
    """The last minutes, as lines."""
    steps, since = view.trends.of(asked), f"{STEPS * STEP_SECONDS / 60:.0f} minutes ago"
    rates = {"calls": [it.calls for it in steps], "refused": [it.refused for it in steps]}
    yield chart("rates", "Calls and refusals a second", rates, lambda it: f"{it:,.1f}/s", since)
    took = {"p50": [it.p50 for it in steps], "p99": [it.p99 for it in steps]}
    yield chart("took", "How long calls took", took, time_shown, since)


def chains_of(view: View, version: Version, asked: EdgeKey) -> Iterator[tuple[int, WrittenEdge, Explanation]]:
    """The chains on the edge, with their numbers in the version."""
    for number, it in enumerate(plan.plan.edge for plan in version.plans):
        if (it.client, it.server) == (asked.client, asked.server):
            yield number, it, view.explanations.of(version, number)


def _chains(view: View, application: Running, version: Version, asked: EdgeKey) -> Iterator[Section]:
    tried = ", which canaries try" if version is application.candidate else ""
    for number, written, explanation in chains_of(view, version, asked):
        yield Heading(f"Chain of {', '.join(written.methods)}, version {version.id}{tried}")
        source = address("chain.svg", version=version.id, chain=str(number), namespace=application.namespace)
        told = tuple(told_briefly(explanation))
        yield Image(source, "The chain as written and as planned; the text below says the same.")
        yield Lines(told, code=True)
        yield _elements(view, version, number, asked)


def _elements(view: View, version: Version, number: int, asked: EdgeKey) -> Table:
    """The elements of a chain in the order in which they run."""
    refused: dict[str, list[Grown]] = {}
    for key, it in view.counts.grown(asked, REFUSALS):
        refused.setdefault(key.element, []).append(it)
    plan = version.plans[number].plan
    written = [it.spec.name.value for it in version.application.chains[number].chain.stops]
    rows = []
    for segment in plan.segments:
        for name in (one.name.value for one in segment.elements):
            place = segment.place
            grown = summed(refused.get(name, ()), view.counts.nothing)
            cells = (
                Cell(name, address("element", asked, element=name)),
                Cell(str(written.index(name) + 1), number=written.index(name) + 1),
                Cell(f"{place.side.value}'s {place.processor}"),
                Cell(place.target),
                rate_cell(grown.rate),
                count_cell(grown.count),
            )
            rows.append(Row(f"{segment.name}/{name}", cells))
    columns = (
        Column("element"),
        Column("written", numbers=True),
        Column("runs in"),
        Column("as"),
        Column("refused/s", numbers=True),
        Column("refused", numbers=True),
    )
    caption = f"Elements of {', '.join(plan.edge.methods)}, in the order in which requests pass them"
    return Table(f"elements-{version.id}-{number}", caption, columns, rows, "The chain has no elements.")


def _state(view: View, asked: EdgeKey) -> Table:
    """What Maps and Vecs of the elements hold, in the instances of each version."""
    held: dict[tuple[str, str, str], Grown] = {}
    for key, it in view.counts.grown(asked, ENTRIES):
        of = key.element, key.detail, key.version
        held[of] = held.get(of, Grown()).plus(it)
    rows = []
    for (element, variable, version), it in sorted(held.items()):
        leads = address("element", asked, element=element)
        cells = (Cell(f"{element}.{variable}", leads), Cell(version, look="code"), count_cell(it.count))
        rows.append(Row(f"{element}/{variable}/{version}", cells))
    columns = (Column("variable"), Column("version"), Column("entries", numbers=True))
    return Table("entries", "State of all instances", columns, rows, "No Map or Vec of it has told its size.")


def _modules(view: View, application: Running, asked: EdgeKey) -> Table:
    """What judges calls, and what has: each version of each module."""
    rows, seen = [], dict(view.counts.edge(asked).versions)
    for version in application.versions:
        for it in version.artifacts:
            if (it.edge.client, it.edge.server) != (asked.client, asked.server):
                continue
            for one in (it, *it.others):
                place, grown = one.segment.place, seen.pop(one.version, view.counts.nothing)
                where = Cell(f"{place.side.value}'s {place.processor}, {place.target}")
                rows.append(_module(it.stem, where, one.version, grown))
    rows += [_module("an earlier one", Cell(NONE, look="quiet"), version, it) for version, it in seen.items()]
    columns = (
        *map(Column, ("module", "runs in", "version")),
        Column("calls/s", numbers=True),
        Column("calls", numbers=True),
    )
    unique = {it.key: it for it in rows}
    return Table("modules", "Modules that judge these calls", columns, list(unique.values()), "None has told of calls.")


def _module(name: str, where: Cell, version: str, grown: Grown) -> Row:
    cells = (Cell(name), where, Cell(version, look="code"), rate_cell(grown.rate), count_cell(grown.count))
    return Row(f"{name}/{version}", cells)


def chain_picture(view: View) -> str:
    """A chain as SVG, as `appnetctl explain --svg` draws it. Raises `UnknownError`."""
    wanted, number = view.asked.get("version", ""), view.asked.get("chain", "")
    namespace = view.asked.get("namespace", "")
    versions = (it for one in view.applications if one.namespace == namespace for it in one.versions)
    found = next((it for it in versions if it.id == wanted), None)
    if found is None or not number.isdecimal() or len(number) > 5 or int(number) >= len(found.plans):
        raise UnknownError("This version does not run any more.")
    return picture([view.explanations.of(found, int(number))])
