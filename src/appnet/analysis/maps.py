"""Maps as arrays: what `get`, `set`, `delete` and `size` do to a `MapValue`.

``history`` stands for the list of keys in the order they were set, the first of which a full Map drops. Only what
holds for such lists is used: a key added and removed again leaves the list as it was.
"""

from __future__ import annotations

from dataclasses import replace

import z3

from appnet.analysis.symbols import (
    BITS,
    FALSE,
    HISTORY,
    TRUE,
    MapValue,
    Option,
    Symbolic,
    Term,
    World,
    alike,
    apply,
    both,
    build,
    flatten,
    inside,
    is_choice,
    leaf_sorts,
    negated,
    sort_of,
    when,
)
from appnet.interpret.values import Value
from appnet.language.capacity import UNBOUNDED
from appnet.language.types import FLOAT, MapType

_SMALL = 32  # entries of a constant Map that are spelt out


def get(world: World, held: MapValue, key: Term) -> Option:
    """The value at the key."""
    key = _key(held.type, key)
    _note(world, held, key)
    leaves = [z3.simplify(z3.Select(array, key)) for array in held.leaves]
    return Option(_has(held, key), build(held.type.value, leaves))


def put(world: World, held: MapValue, key: Term, value: Symbolic, capacity: int) -> MapValue:
    """The Map after `set`, which makes room only for a key that is new (`Element.capacity_of`)."""
    key = _key(held.type, key)
    _note(world, held, key)
    known = _has(held, key)
    full = both(negated(known), z3.UGE(held.size, capacity)) if capacity < UNBOUNDED else FALSE
    kept = when(full, _without_oldest(world, held), held)
    leaves = flatten(inside(value))
    history = when(known, _removed(kept.history, key), kept.history)
    return MapValue(
        held.type,
        z3.Store(kept.present, key, True),
        tuple(z3.Store(array, key, leaf) for array, leaf in zip(kept.leaves, leaves, strict=True)),
        when(known, held.size, kept.size + 1),
        apply("push", [history, key], HISTORY),
        held.most if held.most >= capacity else held.most + 1,
    )


def drop(world: World, held: MapValue, key: Term) -> MapValue:
    """The Map after `delete`."""
    key = _key(held.type, key)
    _note(world, held, key)
    without = MapValue(held.type, *_cleared(held, key), held.size - 1, _removed(held.history, key), held.most)
    kept: MapValue = when(_has(held, key), without, held)
    return kept


def within(world: World, value: Symbolic, capacity: int) -> Symbolic:
    """The value of a variable that, if it is a container, never has more entries."""
    if not isinstance(value, MapValue):
        return world.note_most(value, capacity) if z3.is_expr(value) else value
    if capacity < UNBOUNDED:
        world.facts.append(z3.ULE(value.size, capacity))
    return replace(value, most=capacity)


def fit(held: MapValue, capacity: int) -> MapValue:
    """The Map cut down to the entries that were set last; nothing is known of what stays where some go."""
    if held.most <= capacity:
        return held
    leaves = flatten(held)
    name = f"fit {held.type} {capacity}"
    cut = alike(held, [apply(f"{name}#{number}", leaves, it.sort()) for number, it in enumerate(leaves)])
    full = replace(cut, size=z3.BitVecVal(capacity, BITS))
    kept: MapValue = when(z3.ULE(held.size, capacity), held, full)
    return replace(kept, most=capacity)


def empty(type_: MapType) -> MapValue:
    """A Map with no entries."""
    key = sort_of(type_.key)
    leaves = tuple(z3.K(key, _default(sort)) for sort in leaf_sorts(type_.value))
    return MapValue(type_, z3.K(key, FALSE), leaves, z3.BitVecVal(0, BITS), apply(f"empty {type_.key}", [], HISTORY))


def constant(world: World, type_: MapType, entries: dict[Value, Value]) -> MapValue | None:
    """A Map that is known; None where it is too large to be spelt out or holds containers."""
    none = empty(type_)
    sorts = leaf_sorts(type_.value)
    if not entries:
        return none
    if len(entries) > _SMALL or any(sort.kind() == z3.Z3_UNINTERPRETED_SORT and "<" in str(sort) for sort in sorts):
        return None
    present, leaves, history = none.present, list(none.leaves), none.history
    for key, value in entries.items():
        place = _key(type_, world.literal(key, type_.key))
        present = z3.Store(present, place, True)
        held = flatten(world.literal(value, type_.value))
        leaves = [z3.Store(array, place, leaf) for array, leaf in zip(leaves, held, strict=True)]
        history = apply("push", [history, place], HISTORY)
    return MapValue(type_, present, tuple(leaves), z3.BitVecVal(len(entries), BITS), history, len(entries))


def _key(type_: MapType, key: Term) -> Term:
    """Keys are equal as ``==`` says: floats are made so that this is equality of terms."""
    return apply("as_key", [key], sort_of(FLOAT)) if type_.key == FLOAT else key


def _has(held: MapValue, key: Term) -> Term:
    return z3.simplify(z3.Select(held.present, key))


def _note(world: World, held: MapValue, key: Term) -> None:
    """What holds for every Map at every key, said of this one."""
    known = z3.Select(held.present, key)
    defaults = [z3.Select(array, key) == _default(array.range()) for array in held.leaves]
    world.facts.append(z3.If(known, z3.UGE(held.size, 1), z3.And(defaults)))


def _default(sort: Term) -> Term:
    if sort == z3.BoolSort():
        return FALSE
    return z3.BitVecVal(0, BITS) if sort == z3.BitVecSort(BITS) else z3.Const(f"absent {sort}", sort)


def _cleared(held: MapValue, key: Term) -> tuple[Term, tuple[Term, ...]]:
    leaves = tuple(z3.Store(array, key, _default(array.range())) for array in held.leaves)
    return z3.Store(held.present, key, False), leaves


def _without_oldest(world: World, held: MapValue) -> MapValue:
    oldest = apply("oldest", [held.history], held.present.domain())
    world.facts.append(z3.Implies(z3.UGE(held.size, 1), z3.Select(held.present, oldest)))
    rest = apply("rest", [held.history], HISTORY)
    return MapValue(held.type, *_cleared(held, oldest), held.size - 1, rest, held.most)


def _removed(history: Term, key: Term) -> Term:
    """The list of keys without this one."""
    if z3.is_app(history) and history.decl().name().startswith("push"):
        before, last = history.arg(0), history.arg(1)
        same = TRUE if last.eq(key) else last == key
        return before if z3.is_true(same) else when(same, before, apply("push", [_removed(before, key), last], HISTORY))
    if is_choice(history):
        condition, a, b = history.children()
        return when(condition, _removed(a, key), _removed(b, key))
    return apply("remove", [history, key], HISTORY)
