"""What the compiler knows of an element, for people and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from appnet.cli.elements import compile_file
from appnet.cli.properties import handler_properties, state_properties
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import FileSource
from appnet.ir.needs import Need, one_state
from appnet.ir.nodes import Consistency, Element, Handler
from appnet.ir.rows import match_action_rows
from appnet.ir.sharing import shares
from appnet.ir.words import handler_notes, share_notes, state_notes
from appnet.language import Given
from appnet.language.messages import MethodSignature
from appnet.processors import registry


class View(Enum):
    """One way to look at an element."""

    EFFECTS = "effects"
    STATES = "states"
    TABLE = "table"
    C = "c"


def views(
    file: Path, proto: Path | None, method: str, parameters: Mapping[str, Given], wanted: list[View]
) -> Iterator[RenderableType]:
    """The views of the element in ``file``, in the order asked for. Raises `DiagnosticError`."""
    element, signature = compile_file(FileSource(file), proto, method, parameters)
    for view in wanted:
        match view:
            case View.EFFECTS:
                yield _effects(element)
            case View.STATES:
                yield _states(element)
            case View.TABLE:
                yield from _tables(element)
            case View.C:
                yield Text(_code(element, signature))


def views_data(
    file: Path, proto: Path | None, method: str, parameters: Mapping[str, Given], wanted: list[View]
) -> dict[str, Any]:
    """The same views as data. Raises `DiagnosticError`."""
    element, signature = compile_file(FileSource(file), proto, method, parameters)
    found: dict[str, Any] = {"element": element.name, "method": signature.full_name}
    for view in wanted:
        match view:
            case View.EFFECTS:
                found["effects"] = {name: handler_properties(it) for name, it in element.handlers.items()}
            case View.STATES:
                found["states"] = state_properties(element)
            case View.TABLE:
                found["table"] = {name: _rows(it) for name, it in element.handlers.items()}
            case View.C:
                found["c"] = _code(element, signature)
    return found


def _rows(handler: Handler) -> list[dict[str, Any]]:
    rows = match_action_rows(handler.body)
    return [{"number": it.number, "match": it.match, "actions": list(it.actions)} for it in rows]


def _effects(element: Element) -> Table:
    table = _table(f"{element.name}: effects", "handler", "what it can do")
    for name, handler in _handlers(element):
        effects = handler.effects
        notes = [f"reads state {it}" for it in sorted(effects.state_read)]
        notes += [f"writes state {it}" for it in sorted(effects.state_written)]
        table.add_row(name, "\n".join([*handler_notes(handler), *notes]) or "forwards")
    return table


def _states(element: Element) -> RenderableType:
    if not element.state:
        return Text(f"{element.name} has no state")
    apart = [name for name, (_, it) in registry.targets().items() if Need.ONE_STATE not in it.gives]
    shared = shares(element)
    declared = any(it.consistency is not Consistency.LOCAL for it in element.state)
    columns = ["variable", "type", "class", f"on {', '.join(apart)}", *(["between instances"] if declared else [])]
    table = _table(f"{element.name}: state", *columns)
    alone = {it.name for it in one_state(element)}
    for variable in element.state:
        workers = "needs one worker" if variable.name in alone else "any number of workers"
        kept = [share_notes(shared[variable.name])] if declared else []
        table.add_row(variable.name, str(variable.type), ", ".join(state_notes(variable)), workers, *kept)
    return table


def _tables(element: Element) -> Iterator[Table]:
    for name, handler in _handlers(element):
        table = _table(f"{element.name}: {name}", "row", "match", "action")
        for row in match_action_rows(handler.body):
            table.add_row(row.number, "  " * row.depth + row.match, "\n".join(row.actions))
        yield table


def _code(element: Element, signature: MethodSignature) -> str:
    return print_chain(ChainSource(element.name, "1", [(signature, [element])]))


def _handlers(element: Element) -> list[tuple[str, Handler]]:
    return list(element.handlers.items())


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table
