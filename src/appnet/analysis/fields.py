"""Fields of messages as terms."""

from __future__ import annotations

from dataclasses import replace

from appnet.analysis import maps
from appnet.analysis.symbols import MapValue, Symbolic, World, alike, apply, apply_typed, flatten, narrowed
from appnet.interpret.values import absent_value
from appnet.language.messages import Field
from appnet.language.types import MapType, VecType

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
