"""The text of all state, byte for byte as a generated chain prints it."""

from __future__ import annotations

from appnet.interpret.chain import ChainInstance
from appnet.interpret.values import Value, float_bits
from appnet.ir.nodes import StateClass
from appnet.language.types import BOOL, BYTES, FLOAT, STRING, MapType, PairType, Type, VecType

_LEFT_OUT = (StateClass.RPC_SCOPED, StateClass.RECORD)  # the one ends with its call, the other is drained


def dump(instance: ChainInstance) -> str:
    """One line ``ELEMENT.VARIABLE = VALUE`` for each variable that outlives a call and is no record stream.

    Floats are the 16 hexadecimal digits of their bits, strings and bytes hexadecimal in quotes; a Map's
    entries begin with the one least recently set.
    """
    lines: list[str] = []
    for element in instance.elements():
        state = instance.state_of(element.name)
        lines += [
            f"{element.name}.{variable.name} = {value_text(state[variable.name], variable.type)}\n"
            for variable in element.state
            if variable.state_class not in _LEFT_OUT
        ]
    return "".join(lines)


def value_text(value: Value, type_: Type) -> str:
    """One value as a dump has it."""
    match type_:
        case PairType(first=first, second=second):
            return f"({value_text(value[0], first)}, {value_text(value[1], second)})"
        case VecType(item=item):
            return "[" + ", ".join(value_text(one, item) for one in value) + "]"
        case MapType(key=key, value=kept):
            return "{" + ", ".join(f"{value_text(k, key)}: {value_text(v, kept)}" for k, v in value.items()) + "}"
    if type_ == BOOL:
        return "true" if value else "false"
    if type_ == FLOAT:
        return f"{float_bits(value):016x}"
    if type_ in (STRING, BYTES):
        return f'"{value.hex()}"'
    return str(value)
