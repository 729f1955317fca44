"""Vecs, Maps and pairs."""

from __future__ import annotations

import math

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.values import Value, as_key, float_bits

MEANINGS = Meanings()


@MEANINGS
def _string_size(_machine: Machine, a: bytes) -> int:
    return len(a)


@MEANINGS
def _map_new(_machine: Machine) -> dict[Value, Value]:
    return {}


@MEANINGS
def _map_entries(_machine: Machine, entries: dict[Value, Value]) -> list[Value]:
    return list(entries.items())


@MEANINGS
def _map_get(_machine: Machine, entries: dict[Value, Value], key: Value) -> Value:
    key = as_key(key)
    return (entries[key],) if key in entries else None


@MEANINGS
def _map_get_or(_machine: Machine, entries: dict[Value, Value], key: Value, default: Value) -> Value:
    return entries.get(as_key(key), default)


@MEANINGS
def _map_set(machine: Machine, entries: dict[Value, Value], key: Value, value: Value) -> None:
    key = as_key(key)
    if key in entries:
        del entries[key]  # it becomes the newest
    elif len(entries) >= machine.capacity:
        del entries[next(iter(entries))]
        machine.evicted += 1
    entries[key] = value


@MEANINGS
def _map_delete(_machine: Machine, entries: dict[Value, Value], key: Value) -> None:
    entries.pop(as_key(key), None)


@MEANINGS
def _map_size(_machine: Machine, entries: dict[Value, Value]) -> int:
    return len(entries)


@MEANINGS
def _vec_new(_machine: Machine) -> list[Value]:
    return []


@MEANINGS
def _vec_get(_machine: Machine, items: list[Value], index: int) -> Value:
    return (items[index],) if 0 <= index < len(items) else None


@MEANINGS
def _vec_get_or(_machine: Machine, items: list[Value], index: int, default: Value) -> Value:
    return items[index] if 0 <= index < len(items) else default


@MEANINGS
def _vec_set(machine: Machine, items: list[Value], index: int, value: Value) -> None:
    if index == len(items):
        _vec_append(machine, items, value)
    elif 0 <= index < len(items):
        items[index] = value


@MEANINGS
def _vec_append(machine: Machine, items: list[Value], value: Value) -> None:
    if len(items) >= machine.capacity:
        del items[0]
        machine.evicted += 1
    items.append(value)


@MEANINGS
def _vec_size(_machine: Machine, items: list[Value]) -> int:
    return len(items)


@MEANINGS
def _pair(_machine: Machine, a: Value, b: Value) -> Value:
    return (a, b)


@MEANINGS
def _first(_machine: Machine, pair: tuple[Value, Value]) -> Value:
    return pair[0]


@MEANINGS
def _second(_machine: Machine, pair: tuple[Value, Value]) -> Value:
    return pair[1]


@MEANINGS
def _quantile(_machine: Machine, items: list[Value], q: float) -> float:
    if not items:
        return 0.0
    share = 0.0 if math.isnan(q) else min(max(q, 0.0), 1.0)
    return float(sorted(items, key=_total_order)[math.floor(share * (len(items) - 1))])


def _total_order(value: float) -> int:
    """A key that sorts floats, -0.0 before 0.0 and NaN last."""
    bits = float_bits(value)
    return bits if bits < 2**63 else 2**63 - bits - 1
