"""Visiting every statement of a block, for analyses that need no order of execution."""

from __future__ import annotations

from collections.abc import Iterator

from appnet.ir.nodes import (
    AnyPattern,
    Arm,
    Atom,
    Block,
    Call,
    Const,
    Delay,
    Do,
    Foreach,
    Let,
    LiteralPattern,
    Local,
    Match,
    NonePattern,
    ReadField,
    Refuse,
    Route,
    SetState,
    SomePattern,
    State,
    Statement,
    WriteField,
    WriteReply,
)


def statements(block: Block) -> Iterator[Statement]:
    """Every statement in the block and in the blocks inside it, in the order of the text."""
    pending: list[Statement] = list(reversed(block.statements))
    while pending:
        statement = pending.pop()
        yield statement
        if isinstance(statement, Match):
            for arm in reversed(statement.arms):
                pending.extend(reversed(arm.body.statements))
        elif isinstance(statement, Foreach):
            pending.extend(reversed(statement.body.statements))


def call_of(statement: Statement) -> Call | None:
    """The operation that the statement runs, if it runs one."""
    if isinstance(statement, Do):
        return statement.call
    if isinstance(statement, Let) and isinstance(statement.value, Call):
        return statement.value
    return None


def atoms_of(statement: Statement) -> tuple[Atom, ...]:
    """The operands of the statement itself, without those of blocks inside it."""
    match statement:
        case Let(value=Call() as call) | Do(call=call):
            return call.args
        case Let(value=(Const() | Local() | State()) as atom):
            return (atom,)
        case SetState(value=atom) | WriteField(value=atom) | WriteReply(value=atom) | Refuse(message=atom):
            return (atom,)
        case Route(host=atom) | Delay(seconds=atom):
            return (atom,)
        case Match(subject=atom) | Foreach(items=atom):
            return (atom,)
        case _:
            return ()


def binders(statement: Statement) -> Iterator[Local]:
    """The locals that the statement itself gives a value: by assignment, by a pattern or for each item."""
    match statement:
        case Let(local=local) | Foreach(item=local):
            yield local
        case Match(arms=arms):
            for arm in arms:
                if isinstance(arm.pattern, SomePattern) and arm.pattern.local is not None:
                    yield arm.pattern.local
        case _:
            return


def read_field_of(statement: Statement) -> ReadField | None:
    """The field of the message that the statement reads, if it reads one."""
    if isinstance(statement, Let) and isinstance(statement.value, ReadField):
        return statement.value
    return None


def is_exhaustive(arms: tuple[Arm, ...]) -> bool:
    """Whether one of the arms fits, whatever the subject is."""
    return closing(arms) is not None


def closing(arms: tuple[Arm, ...]) -> int | None:
    """The index of the arm after which nothing is left to fit; None where something is."""
    seen: set[object] = set()
    for index, arm in enumerate(arms):
        pattern = arm.pattern
        if isinstance(pattern, AnyPattern):
            return index
        if not isinstance(pattern, LiteralPattern):
            seen.add(type(pattern))
        elif pattern.value.type.name == "bool":
            seen.add(pattern.value.value)
        if seen >= {SomePattern, NonePattern} or seen >= {True, False}:
            return index
    return None
