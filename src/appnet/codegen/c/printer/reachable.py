"""A body without what cannot be reached, which C compilers warn of in their own ways."""

from __future__ import annotations

from dataclasses import replace

from appnet.ir.effects import ends
from appnet.ir.nodes import Block, Foreach, Match, Statement
from appnet.ir.walk import is_exhaustive


def reachable(block: Block) -> Block:
    """The block without arms after the last one that can fit, and without statements after a verdict on all paths."""
    kept: list[Statement] = []
    for statement in block.statements:
        kept.append(_reachable_in(statement))
        if ends(Block((kept[-1],))):
            break
    return Block(tuple(kept))


def _reachable_in(statement: Statement) -> Statement:
    match statement:
        case Match(arms=arms):
            count = next((n for n in range(1, len(arms)) if is_exhaustive(arms[:n])), len(arms))
            return replace(statement, arms=tuple(replace(arm, body=reachable(arm.body)) for arm in arms[:count]))
        case Foreach(body=body):
            return replace(statement, body=reachable(body))
        case _:
            return statement
