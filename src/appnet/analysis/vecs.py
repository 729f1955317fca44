"""Vecs as terms that nothing is known of but how many items they have at most."""

from __future__ import annotations

from collections.abc import Sequence

from appnet.analysis.symbols import Symbolic, Term, World, apply, is_choice, when
from appnet.language.types import VecType


def fit(world: World, vec: Term, type_: VecType, capacity: int) -> Term:
    """The Vec cut down to its last items."""
    if world.most(vec) <= capacity:
        return vec
    if is_choice(vec):
        condition, a, b = vec.children()
        return when(condition, fit(world, a, type_, capacity), fit(world, b, type_, capacity))
    return world.note_most(apply(f"fit {type_} {capacity}", [vec], vec.sort()), capacity)


def most_of(world: World, op: str, operands: Sequence[Symbolic]) -> int | None:
    """How many items the Vec that the operation gives has at most; None where nothing is known of that."""
    match op:
        case "vec_new":
            return 0
        case "random_choices":
            return world.most(operands[0])
        case "map_entries":
            return int(operands[0].most)
    return None
