"""Words for parts of an element: its state, what its handlers can do, atoms and patterns."""

from __future__ import annotations

from appnet.ir.nodes import (
    AnyPattern,
    Atom,
    Const,
    Handler,
    LiteralPattern,
    NonePattern,
    Pattern,
    SomePattern,
    State,
    StateVariable,
)
from appnet.ir.sharing import Share


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
    if variable.unavailable == "local":
        notes.append("local while its store is away")
    return notes


def share_notes(share: Share) -> str:
    """Where a variable of shared state lives, and why."""
    how = f" by {share.combiner}" if share.combiner else ", a key at a time" if share.sharded else ""
    how += ", known in part" if share.part else ""
    return f"{share.sharing.value}{how}: {share.reason}"


def handler_notes(handler: Handler) -> list[str]:
    """What the handler can do besides forwarding, a few words each."""
    effects = handler.effects
    notes = [f"reads {use.path}" for use in effects.fields if use.read]
    notes += [f"writes {use.path}" for use in effects.fields if use.written]
    notes += [f"tests for {use.path}" for use in effects.fields if use.asked]
    notes += [f"clears {use.path}" for use in effects.fields if use.cleared]
    notes += [text for name, text in _EFFECT_NOTES if getattr(effects, name)]
    return notes


_EFFECT_NOTES = (
    ("reads_size", "reads the message's size"),
    ("metadata_read", "reads metadata"),
    ("metadata_written", "writes metadata"),
    ("trailers_read", "reads trailers"),
    ("trailers_written", "writes trailers"),
    ("reads_deadline", "reads the deadline"),
    ("sets_deadline", "sets the deadline"),
    ("reads_status", "reads status"),
    ("reads_backends", "reads backends"),
    ("uses_random", "random"),
    ("uses_time", "time"),
    ("can_refuse", "can refuse"),
    ("can_drop", "can drop"),
    ("can_reply", "can reply"),
)


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
