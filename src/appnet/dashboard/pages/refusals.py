"""Calls that were refused, as they come, and one of them explained as `appnetctl why` does."""

from __future__ import annotations

import asyncio
from typing import Any

from appnet.behaviour.explained import explained
from appnet.behaviour.run import status_name
from appnet.behaviour.telling import clock, told_replay, told_row, value_read, verdict, what_read
from appnet.control.refused import program_of
from appnet.dashboard.model import Cell, Column, Lines, Page, Row, Section, Table
from appnet.dashboard.pages.view import UnknownError, View, address
from appnet.dashboard.running import EdgeKey
from appnet.observe.refusals import Refusal
from appnet.observe.shown import value_text

_MOST = 200
_LONGEST = 120
_WHICH = (
    "Envoys and programs with a gRPC library tell why they refuse. The control plane keeps the last 2,000 of these "
    "refusals."
)


async def refusals(view: View) -> Page:
    """The latest."""
    return Page("Refused calls", (Lines((_WHICH,)), refusals_table(view, _MOST)))


def refusals_table(view: View, most: int) -> Table:
    """The latest, the last first."""
    rows = [_row(view, number, it) for number, it in view.telemetry.refusals.latest(most)]
    columns = tuple(map(Column, ("time", "element", "edge", "method", "status", "row", "text")))
    return Table("refusals", "Calls refused lately", columns, rows, "No module has told of a refusal.")


def _row(view: View, number: int, it: Refusal) -> Row:
    edge = _edge(view, it)
    cells = (
        Cell(clock(it.time_ns), address("refusal", number=str(number))),
        Cell(it.element, address("element", edge, element=it.element)),
        Cell(str(edge), address("edge", edge)),
        Cell(it.method, look="code"),
        Cell(status_name(it.code), look="code"),
        Cell(it.row or "", look="code"),
        Cell(value_text(it.text, _LONGEST), look="quiet"),
    )
    return Row(str(number), cells)


def _edge(view: View, it: Refusal) -> EdgeKey:
    client, server, processor = (str(it.resource.get(f"appnet.{key}", "")) for key in ("client", "server", "processor"))
    return EdgeKey.told(client, server, processor if view.counts.clustered else "")


async def refusal(view: View) -> Page:
    """One, with what the element had read. Raises `UnknownError`."""
    number = view.asked.get("number", "")
    found = view.telemetry.refusals.numbered(int(number)) if number.isdecimal() and len(number) < 20 else None
    if found is None:
        raise UnknownError(f"This refusal is not known any more. {_WHICH}")
    versions = [version for it in view.applications for version in it.known]
    told = await asyncio.to_thread(lambda: explained(found, program_of(versions, found)))
    title = f"{found.element} refused a call of {found.method}"
    edge = _edge(view, found)
    element = (found.element, address("element", edge, element=found.element))
    above = (("Refused calls", "refusals"), (str(edge), address("edge", edge)), element)
    return Page(title, tuple(_sections(told)), above, live=False)


def _sections(told: dict[str, Any]) -> list[Section]:
    facts = {
        "refused with": verdict(told),
        "time": clock(told["time_ns"]),
        "edge": f"{told['client']} → {told['server']} ({told['side']})" if told["client"] else "",
        "version": told["version"],
        "at": told["processor"],
        "x-request-id": told["request_id"],
        "trace": told["trace_id"],
    }
    rows = [Row(key, (Cell(key), Cell(str(it)))) for key, it in facts.items() if it]
    reads = [
        Row(str(number), (Cell(what_read(it), look="code"), Cell(value_read(it), look="code")))
        for number, it in enumerate(told["reads"])
    ]
    first, *row = told_row(told)
    after = [told_replay(told["replay"])]
    if told["cut"]:
        after.insert(0, "It had read more, for which there was no room.")
    if told["left_out"]:
        after.append(f"{told['left_out']} earlier refusals of {told['element']} came too fast to be told of.")
    return [
        Table("facts", "The call", (Column("what"), Column("value")), rows, ""),
        Lines((first,)),
        *([Lines(tuple(map(str.strip, row)), code=True)] if row else []),
        Table("reads", "What it had read", (Column("what"), Column("value")), reads, "It had read nothing."),
        Lines(tuple(after)),
    ]
