"""Fields of messages as terms."""

from __future__ import annotations

from dataclasses import replace

import z3

from appnet.analysis import maps, vecs
from appnet.analysis.symbols import (
    BITS,
    TRUE,
    MapValue,
    Symbolic,
    Term,
    World,
    alike,
    apply,
    apply_typed,
    flatten,
    narrowed,
    negated,
)
from appnet.interpret.values import absent_value
from appnet.language.messages import Field
from appnet.language.types import MapType, VecType

_MOST_NAMES = 32
_EXACT = frozenset({"string", "bytes", "bool", "int64", "sint64", "sfixed64", "uint64", "fixed64", "double", ""})


def absent(world: World, field: Field) -> Symbolic:
    """What the field reads as where a message does not have it."""
    match field.type:
        case VecType():
            return apply_typed("vec_new", [], field.type)
        case MapType():
            return maps.empty(field.type)
        case _:
            return world.literal(absent_value(field), field.type)


def is_named(value: Symbolic, field: Field) -> Term:
    """Whether a closed enum has names for all that is in the value, which the field holds."""
    if not field.names:
        return TRUE
    if isinstance(field.type, VecType | MapType) or len(field.names) > _MOST_NAMES:
        return apply(f"named {field.names}", flatten(value), z3.BoolSort())
    return z3.simplify(z3.Or([value == z3.BitVecVal(it, BITS) for it in field.names]))


def items_of(world: World, value: Symbolic) -> Term:
    """How many there are in a Vec or Map."""
    return value.size if isinstance(value, MapValue) else vecs.size(world, value)


def makes_messages(world: World, value: Symbolic, field: Field) -> Term:
    """Whether writing the value makes the messages around the field."""
    if field.oneofs or not isinstance(field.type, VecType | MapType):
        return TRUE
    return negated(items_of(world, value) == z3.BitVecVal(0, BITS))


def hold(value: Symbolic, field: Field) -> Symbolic:
    """What the field holds after it was written (`appnet.interpret.values.hold`)."""
    if not isinstance(field.type, VecType | MapType):
        return narrowed(value, field.kind)
    if field.kind in _EXACT and field.key_kind in _EXACT:
        return value
    leaves = flatten(value)
    name = f"hold {field.type} {field.key_kind} {field.kind}#"
    if all(it.decl().name().startswith(name) for it in leaves):
        return value  # it was held before: that changes nothing a second time
    held = alike(value, [apply(f"{name}{number}", leaves, it.sort()) for number, it in enumerate(leaves)])
    return replace(held, most=value.most) if isinstance(value, MapValue) else held
