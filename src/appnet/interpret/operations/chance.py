"""Chance."""

from __future__ import annotations

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.values import Value, copy_value

MEANINGS = Meanings()


@MEANINGS
def _random_float(machine: Machine, a: float, b: float) -> float:
    return a + (b - a) * float(machine.generator.draw() >> 11) / 2.0**53


@MEANINGS
def _random_int(machine: Machine, a: int, b: int) -> int:
    draw = machine.generator.draw()
    return a + draw % (b - a) if a < b else a


@MEANINGS
def _random_choices(machine: Machine, items: list[Value], count: int) -> list[Value]:
    if count >= len(items):
        return items
    chosen = copy_value(items)
    for i in range(max(count, 0)):
        j = i + machine.generator.draw() % (len(chosen) - i)
        chosen[i], chosen[j] = chosen[j], chosen[i]
    return list(chosen[: max(count, 0)])
