"""The match-action table of a handler: each arm a row, with what it matches and what it does, for people to read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from appnet.ir.nodes import (
    Answer,
    Arm,
    Atom,
    Block,
    Call,
    ClearField,
    Computation,
    Delay,
    Do,
    Foreach,
    Forward,
    HasField,
    Let,
    Local,
    Match,
    NewReply,
    ReadField,
    Refuse,
    Route,
    SetState,
    Statement,
    WriteField,
    WriteReply,
)
from appnet.ir.walk import atoms_of, binders, statements
from appnet.ir.words import show_atom, show_pattern
from appnet.language.operations.registry import OPERATIONS

_INFIX = {name: it.usage.split()[1] for name, it in OPERATIONS.items() if re.fullmatch(r"a \S+ b", it.usage)}
_OWN = frozenset({"vec_append", "map_entries"})  # programs write more than a call
_NAMES = {name: it.function or name for name, it in OPERATIONS.items() if name not in _OWN}


@dataclass(frozen=True)
class Row:
    """A row of the table.

    ``number``: ``2b`` is the second arm of the handler's second match, ``2b.1a`` the first arm of the first match in
    that; ``2`` alone is a loop. Rows of no number run whenever the row around them does. ``arm``: of the match, if
    the row is one.
    """

    number: str
    depth: int
    match: str
    actions: tuple[str, ...]
    arm: Arm | None = None


def match_action_rows(body: Block) -> list[Row]:
    """The rows of a handler in the order in which they are tried."""
    return list(_Rows(body).of(body, "", 0))


class _Rows:
    """Expressions used once stand where they are used, as in the program."""

    def __init__(self, body: Block) -> None:
        uses: Counter[str] = Counter()
        bound: Counter[str] = Counter()
        for statement in statements(body):
            uses.update(atom.name for atom in atoms_of(statement) if isinstance(atom, Local))
            bound.update(local.name for local in binders(statement))
        self._inlined = {name for name, count in uses.items() if count == 1 and bound[name] == 1}
        self._texts: dict[str, str] = {}

    def of(self, block: Block, prefix: str, depth: int) -> Iterator[Row]:
        actions: list[str] = []
        number = 0
        for statement in block.statements:
            if not isinstance(statement, Match | Foreach):
                actions += self._action(statement)
                continue
            if actions:
                yield Row("", depth, "always", tuple(actions))
                actions = []
            number += 1
            place = f"{prefix}{number}"
            if isinstance(statement, Match):
                yield from self._arms(statement, place, depth)
            else:
                title = f"for each {statement.item.name} of {self._atom(statement.items)}"
                yield from self._branch(statement.body, Row(place, depth, title, ()))
        if actions:
            yield Row("", depth, "always", tuple(actions))

    def _arms(self, statement: Match, place: str, depth: int) -> Iterator[Row]:
        subject = self._atom(statement.subject)
        for index, arm in enumerate(statement.arms):
            pattern = show_pattern(arm.pattern)
            title = {"true": subject, "false": f"not {subject}", "_": "otherwise"}.get(
                pattern, f"{subject} is {pattern}"
            )
            yield from self._branch(arm.body, Row(arm_number(place, index), depth, title, (), arm))

    def _branch(self, body: Block, row: Row) -> Iterator[Row]:
        """The row, with the actions that its body begins with, then the rows inside it."""
        inner = list(self.of(body, f"{row.number}.", row.depth + 1))
        first = inner.pop(0).actions if inner and not inner[0].number else ()
        yield Row(row.number, row.depth, row.match, first, row.arm)
        yield from inner

    def _action(self, statement: Statement) -> list[str]:
        match statement:
            case Let(local=local, value=value):
                text = self._computation(value)
                if local.name in self._inlined:
                    self._texts[local.name] = text
                    return []
                return [f"{local.name} = {text}"]
            case SetState(state=state, value=value):
                return [f"{state.name} = {self._atom(value)}"]
            case WriteField(path=path, value=value):
                return [f"rpc.{path} = {self._atom(value)}"]
            case Do(call=call):
                return [self._computation(call)]
            case NewReply():
                return []
            case WriteReply() | ClearField():
                return [self._change(statement)]
            case Route(host=host):
                return [f"route to {self._atom(host)}"]
            case Delay(seconds=seconds):
                return [f"delay by {self._atom(seconds)} s"]
            case Forward():
                return ["forward"]
            case Answer():
                return ["reply"]
            case Refuse(message=message, code=code):
                return [f"refuse {self._atom(message)} with code {code}"]
        raise AssertionError(statement)

    def _change(self, statement: WriteReply | ClearField) -> str:
        if isinstance(statement, ClearField):
            return f"clear rpc.{statement.path}"
        return f"reply.{statement.path} = {self._atom(statement.value)}"

    def _computation(self, value: Computation) -> str:
        match value:
            case Call(op=op, args=(left, right)) if op in _INFIX:
                return f"({self._atom(left)} {_INFIX[op]} {self._atom(right)})"
            case Call(op="not", args=(operand,)):
                return f"not {self._atom(operand)}"
            case Call(op=op, args=args):
                return f"{_NAMES.get(op, op)}({', '.join(map(self._atom, args))})"
            case ReadField(path=path):
                return f"rpc.{path}"
            case HasField(path=path):
                return f"has rpc.{path}"
            case _:
                return self._atom(value)

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, Local):
            return self._texts.get(atom.name, atom.name)
        return show_atom(atom).removeprefix("state.")


def refusal_rows(body: Block) -> dict[int, str]:
    """By the identity of each `Refuse`, the number of the row around it; empty for one that stands in no arm."""
    return dict(_refusals(body, "", ""))


def _refusals(block: Block, prefix: str, row: str) -> Iterator[tuple[int, str]]:
    number = 0
    for statement in block.statements:
        if isinstance(statement, Match | Foreach):
            number += 1
        match statement:
            case Match(arms=arms):
                for index, arm in enumerate(arms):
                    inner = arm_number(f"{prefix}{number}", index)
                    yield from _refusals(arm.body, f"{inner}.", inner)
            case Foreach(body=inside):
                yield from _refusals(inside, f"{prefix}{number}.", f"{prefix}{number}")
            case Refuse():
                yield id(statement), row


def arm_number(match: str, index: int) -> str:
    """The number of an arm's row, by its match's."""
    return f"{match}{_letter(index)}"


def _letter(index: int) -> str:
    """a to z, then aa, ab, …"""
    text = ""
    while index >= 0:
        text = chr(ord("a") + index % 26) + text
        index = index // 26 - 1
    return text
