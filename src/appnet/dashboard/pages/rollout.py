"""Which node runs which version, and which ran before."""

from __future__ import annotations

from appnet.dashboard.model import Buttons, Cell, Column, Heading, Lines, Page, Row, Section, Table
from appnet.dashboard.pages.view import NONE, View, nodes_table


async def rollout(view: View) -> Page:
    """Of all applications."""
    sections: list[Section] = [_applications(view), await nodes_table(view.applications), _history(view)]
    actions = [(it.named, word) for it in view.applications for word in it.actions]
    if view.acts and actions:
        sections.append(Buttons(tuple(actions)))
    commands = [command for it in view.applications for command in it.commands]
    if commands:
        told = "These commands change what runs, from this machine or with access to the cluster."
        sections += [Heading("To change it"), Lines((told,)), Lines(tuple(dict.fromkeys(commands)), code=True)]
    return Page("Rollout", tuple(sections))


def _applications(view: View) -> Table:
    rows = [
        Row(
            f"{it.namespace}/{it.name}",
            (
                Cell(it.named),
                Cell(it.running.id if it.running is not None else NONE, look="code"),
                Cell(it.candidate.id if it.candidate is not None else NONE, look="code"),
                Cell(f"{sum(node.running for node, _ in it.nodes)} of {len(it.nodes)}"),
                Cell(it.note),
            ),
        )
        for it in view.applications
    ]
    columns = tuple(map(Column, ("application", "version", "canaries try", "connected nodes", "note")))
    return Table("applications", "Applications", columns, rows, "No application runs.", sortable=True)


def _history(view: View) -> Table:
    rows = []
    for it in view.applications:
        for number, past in zip(range(len(it.past), 0, -1), it.past, strict=True):
            key = f"{it.namespace}/{it.name}/{number}/{past.version}/{past.when}"
            rows.append(Row(key, (Cell(it.named), Cell(past.version, look="code"), Cell(past.when))))
    columns = tuple(map(Column, ("application", "version", "ran")))
    return Table("history", "Versions before", columns, rows, "None has run before.")
