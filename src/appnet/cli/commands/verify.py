"""What this installation has and lacks, for each processor."""

from __future__ import annotations

import sys

import typer
from rich.table import Table

from appnet.cli.errors import FAILURE, open_screens
from appnet.processors import registry
from appnet.processors.processor import Requirement
from appnet.system.installed import package_version_of

_FOR_ALL = (
    Requirement("Python", lambda: ".".join(map(str, sys.version_info[:3])), ""),
    Requirement(
        "protoc", package_version_of("grpcio-tools"), "install AppNet again; in a clone: make clean quickstart"
    ),
)


def verify_tables() -> tuple[Table, Table, bool]:
    """A table of all parts, one of the processors, and whether those that AppNet runs have all their parts."""
    parts = _table("part", "found", "needed by", "how to get it")
    needed_by: dict[Requirement, list[str]] = {it: [] for it in _FOR_ALL}
    for name, processor in registry.processors().items():
        for part in (*_FOR_ALL, *processor.parts):
            needed_by.setdefault(part, []).append(name)
    missing: dict[str, list[str]] = {}
    for part, names in needed_by.items():
        found = part.find()
        state = f"[green]{found}[/]" if found else "[red]missing[/]"
        parts.add_row(part.name, state, ", ".join(names), "" if found else part.remedy)
        for name in () if found else names:
            missing.setdefault(name, []).append(part.name)
    processors = _table("processor", "state", "what it is")
    for name, entry in registry.ENTRIES.items():
        lacks = ", ".join(missing.get(name, ()))
        state = f"[red]missing: {lacks}[/]" if lacks else "[green]ready[/]"
        processors.add_row(name, state if entry.room else "[yellow]not supported yet[/]", entry.summary)
    return parts, processors, not missing


def _table(*titles: str) -> Table:
    return Table(*titles, box=None, padding=(0, 2, 0, 0), header_style="dim")


def command() -> None:
    """Check the installation: list each part, the processors that need it, and how to get what is missing."""
    parts, processors, complete = verify_tables()
    open_screens().out.print(parts, "", processors, sep="\n")
    raise typer.Exit(0 if complete else FAILURE)
