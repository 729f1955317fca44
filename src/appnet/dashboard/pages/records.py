"""The records of elements as they come."""

from __future__ import annotations

from appnet.behaviour.telling import clock
from appnet.dashboard.model import Cell, Column, Page, Row, Table
from appnet.dashboard.pages.view import View, address, count_cell
from appnet.observe.shown import value_text

_MOST, _MOST_STREAMS, _LONGEST = 100, 200, 200


async def records(view: View) -> Page:
    """The latest; of one element, if it is named."""
    element = view.asked.get("element", "")
    title, above = (f"Records of {element}", (("Records", "records"),)) if element else ("Records", ())
    return Page(title, (_latest(view, element), *(() if element else (_streams(view),))), above)


def _latest(view: View, element: str) -> Table:
    rows = [
        Row(
            f"{it.element}.{it.variable}#{number}",
            (
                Cell(clock(it.time_ns)),
                Cell(f"{it.element}.{it.variable}", address("records", element=it.element)),
                Cell(value_text(it.value, _LONGEST), look="code"),
                Cell(str(it.resource.get("appnet.processor", "")), look="quiet"),
            ),
        )
        for number, it in view.telemetry.records.latest(_MOST, element)
    ]
    columns = tuple(map(Column, ("time", "stream", "value", "at")))
    return Table("records", f"The last {_MOST} records", columns, rows, "No record has come.", "Search these records")


def _streams(view: View) -> Table:
    counts = sorted(view.telemetry.records.counts().items(), key=lambda it: -it[1])[:_MOST_STREAMS]
    rows = []
    for key, count in counts:
        name = f"{key.element}.{key.variable}"
        rows.append(Row(name, (Cell(name, address("records", element=key.element)), count_cell(count))))
    columns = (Column("stream"), Column("records", numbers=True))
    return Table("streams", "Streams", columns, rows, "No record has come.", sortable=True)
