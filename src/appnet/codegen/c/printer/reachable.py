"""A body without what cannot be reached or does nothing, which C compilers warn of in their own ways."""

from __future__ import annotations

from dataclasses import replace

from appnet.ir.effects import ends
from appnet.ir.nodes import Block, Foreach, Let, Match, SetState, Statement
from appnet.ir.walk import closing


def reachable(block: Block) -> Block:
    """The block without what no path leads to, and without arms and matches that do nothing."""
    kept: list[Statement] = []
    for statement in map(_reachable_in, block.statements):
        if _does_nothing(statement):
            continue
        kept.append(statement)
        if ends(Block((statement,))):
            break
    return Block(tuple(kept))


def _does_nothing(statement: Statement) -> bool:
    match statement:
        case Match(arms=()) | Foreach(body=Block(statements=())):
            return True
        case Let(local=place, value=value) | SetState(state=place, value=value):
            return value == place
        case _:
            return False


def _reachable_in(statement: Statement) -> Statement:
    match statement:
        case Match(arms=arms):
            last = closing(arms)
            reached = arms if last is None else arms[: last + 1]
            left = [replace(arm, body=reachable(arm.body)) for arm in reached]
            while left and not left[-1].body.statements:
                left.pop()
            return replace(statement, arms=tuple(left))
        case Foreach(body=body):
            return replace(statement, body=reachable(body))
        case _:
            return statement
