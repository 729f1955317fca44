"""The readable form of an element: its match-action view."""

from __future__ import annotations

from collections.abc import Sequence

from appnet.ir.nodes import (
    Answer,
    Block,
    Call,
    ClearField,
    Computation,
    Delay,
    Do,
    Element,
    Foreach,
    Forward,
    Handler,
    HasField,
    Let,
    Match,
    NewReply,
    ReadField,
    Refuse,
    Route,
    SetState,
    Statement,
    StateVariable,
    WriteField,
    WriteReply,
)
from appnet.ir.words import handler_notes, show_atom, show_pattern, state_notes

_INDENT = "  "


def print_element(element: Element) -> str:
    """The element as text, one statement a line; for people and for tests, not to be read back."""
    lines = [f"element {element.name}"]
    lines += [_INDENT + _variable(variable) for variable in element.state]
    lines += ["", f"{_INDENT}init", *_block(element.init, 2)]
    for name, handler in element.handlers.items():
        lines += ["", f"{_INDENT}{name}{_effects(handler)}", *_block(handler.body, 2)]
    return "\n".join(lines) + "\n"


def _variable(variable: StateVariable) -> str:
    return f"state {variable.name}: {variable.type}  ({', '.join(state_notes(variable))})"


def _effects(handler: Handler) -> str:
    notes = handler_notes(handler)
    return f"  ({', '.join(notes)})" if notes else ""


def _block(block: Block, depth: int) -> list[str]:
    if not block.statements:
        return [_INDENT * depth + "pass"]
    return [line for statement in block.statements for line in _statement(statement, depth)]


def _statement(statement: Statement, depth: int) -> list[str]:
    margin = _INDENT * depth
    match statement:
        case Let(local=local, value=value):
            return [f"{margin}{local.name} = {_computation(value)}"]
        case SetState(state=state, value=value):
            return [f"{margin}state.{state.name} = {show_atom(value)}"]
        case WriteField(path=path, value=value, clears=clears):
            return [f"{margin}rpc.{path} = {show_atom(value)}{_clears(clears)}"]
        case ClearField(path=path, clears=clears):
            return [f"{margin}clear rpc.{path}{_clears(clears)}"]
        case Do(call=call):
            return [margin + _computation(call)]
        case Match(subject=subject, arms=arms):
            lines = [f"{margin}match {show_atom(subject)}"]
            for arm in arms:
                lines += [f"{margin}{_INDENT}{show_pattern(arm.pattern)} =>", *_block(arm.body, depth + 2)]
            return lines
        case Foreach(item=item, items=items, body=body):
            return [f"{margin}foreach {item.name} in {show_atom(items)}", *_block(body, depth + 1)]
        case NewReply():
            return [f"{margin}new reply"]
        case WriteReply(path=path, value=value, clears=clears):
            return [f"{margin}reply.{path} = {show_atom(value)}{_clears(clears)}"]
        case Route(host=atom) | Delay(seconds=atom):
            return [f"{margin}{'route' if isinstance(statement, Route) else 'delay'} {show_atom(atom)}"]
        case Forward() | Answer():
            return [f"{margin}{'forward' if isinstance(statement, Forward) else 'reply'}"]
        case Refuse(message=message, code=code):
            return [f"{margin}refuse {show_atom(message)} code {code}"]


def _computation(value: Computation) -> str:
    match value:
        case Call(op=op, args=args):
            return f"{op}({', '.join(show_atom(atom) for atom in args)})"
        case ReadField(path=path) | HasField(path=path):
            return f"{'has ' if isinstance(value, HasField) else ''}rpc.{path}"
        case _:
            return show_atom(value)


def _clears(paths: Sequence[str]) -> str:
    return f", clears {', '.join(paths)}" if paths else ""
