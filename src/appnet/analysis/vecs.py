"""Vecs as terms that nothing is known of but their sizes."""

from __future__ import annotations

from collections.abc import Sequence

import z3

from appnet.analysis.symbols import BITS, FALSE, Symbolic, Term, World, apply, apply_typed, both, is_choice, when
from appnet.language.types import VecType

LARGEST = 2**32
"""More items, or bytes, than any memory holds."""


def size(world: World, vec: Term) -> Term:
    """How many items the Vec has."""
    if is_choice(vec):
        condition, a, b = vec.children()
        return when(condition, size(world, a), size(world, b))
    name = vec.decl().name()
    if name.startswith("vec_new"):
        return z3.BitVecVal(0, BITS)
    if name.startswith(("vec_set#", "hold ")):
        return size(world, vec.arg(0))
    if name.startswith("fit "):
        before, capacity = size(world, vec.arg(0)), world.most(vec)
        return z3.If(z3.ULE(before, capacity), before, z3.BitVecVal(capacity, BITS))
    if name.startswith("vec_append "):
        before, capacity = size(world, vec.arg(0)), int(name.split()[1].partition("#")[0])
        return z3.If(z3.UGE(before, capacity), before, before + 1)
    found = apply("vec_size", [vec], z3.BitVecSort(BITS))
    world.facts.append(z3.ULE(found, min(world.most(vec), LARGEST)))
    return found


def of_size(world: World, vec: Term, type_: VecType, count: int) -> Term:
    """The Vec, of which it is known that it has so many items."""
    if count == 0:
        return world.note_most(apply_typed("vec_new", [], type_), 0)
    world.note_most(vec, count)
    world.facts.append(size(world, vec) == count)
    return vec


def holds(world: World, vec: Term, index: Term) -> Term:
    """Whether the Vec has an item at the index."""
    least: Term = z3.BoolVal(index.as_signed_long() >= 0) if z3.is_bv_value(index) else index >= 0
    most = world.most(vec)
    if z3.is_false(least) or (z3.is_bv_value(index) and index.as_signed_long() >= most):
        return FALSE
    return both(least, z3.ULT(index, size(world, vec)))


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
