"""The readable form of an element: its match-action view."""

from __future__ import annotations

from collections.abc import Sequence

from appnet.ir.nodes import (
    Answer,
    AnyPattern,
    Atom,
    Block,
    Call,
    Computation,
    Const,
    Delay,
    Do,
    Element,
    Foreach,
    Forward,
    Handler,
    Let,
    LiteralPattern,
    Match,
    NewReply,
    NonePattern,
    Pattern,
    ReadField,
    Refuse,
    Route,
    SetState,
    SomePattern,
    State,
    Statement,
    StateVariable,
    WriteField,
    WriteReply,
)

_INDENT = "  "


def print_element(element: Element) -> str:
    """The element as text, one statement a line; for people and for tests, not to be read back."""
    lines = [f"element {element.name}"]
    lines += [_INDENT + _variable(variable) for variable in element.state]
    lines += ["", f"{_INDENT}init", *_block(element.init, 2)]
    for name, handler in (("req", element.req), ("resp", element.resp)):
        lines += ["", f"{_INDENT}{name}{_effects(handler)}", *_block(handler.body, 2)]
    return "\n".join(lines) + "\n"


def _variable(variable: StateVariable) -> str:
    return f"state {variable.name}: {variable.type}  ({', '.join(state_notes(variable))})"


def state_notes(variable: StateVariable) -> list[str]:
    """The variable's class and what its declaration adds."""
    notes = [variable.state_class.value]
    if variable.capacity != StateVariable.capacity:
        notes.append(f"capacity {variable.capacity}")
    if variable.consistency.value != "local":
        notes.append(variable.consistency.value)
    if variable.combiner is not None:
        notes.append(f"combined by {variable.combiner}")
    if variable.persistent:
        notes.append("persistent")
    return notes


def _effects(handler: Handler) -> str:
    notes = handler_notes(handler)
    return f"  ({', '.join(notes)})" if notes else ""


def handler_notes(handler: Handler) -> list[str]:
    """What the handler can do besides forwarding, a few words each."""
    effects = handler.effects
    notes = [f"reads {use.path}" for use in effects.fields if use.read]
    notes += [f"writes {use.path}" for use in effects.fields if use.written]
    notes += [text for name, text in _EFFECT_NOTES if getattr(effects, name)]
    return notes


_EFFECT_NOTES = (
    ("metadata_read", "reads metadata"),
    ("metadata_written", "writes metadata"),
    ("reads_status", "reads status"),
    ("reads_backends", "reads backends"),
    ("uses_random", "random"),
    ("uses_time", "time"),
    ("can_refuse", "can refuse"),
    ("can_drop", "can drop"),
    ("can_reply", "can reply"),
)


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
        case ReadField(path=path):
            return f"rpc.{path}"
        case _:
            return show_atom(value)


def show_atom(atom: Atom) -> str:
    """A constant, a local, or ``state.NAME``."""
    if isinstance(atom, Const):
        return _constant(atom)
    return f"state.{atom.name}" if isinstance(atom, State) else atom.name


def _constant(constant: Const) -> str:
    value = constant.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return repr(value)[1:]
    return repr(value)


def show_pattern(pattern: Pattern) -> str:
    """As programs write it."""
    match pattern:
        case LiteralPattern(value=value):
            return _constant(value)
        case SomePattern(local=local):
            return f"Some({local.name if local is not None else '_'})"
        case NonePattern():
            return "None"
        case AnyPattern():
            return "_"


def _clears(paths: Sequence[str]) -> str:
    return f", clears {', '.join(paths)}" if paths else ""
