"""Time."""

from __future__ import annotations

from appnet.interpret.operations.machine import Machine, Meanings

MEANINGS = Meanings()


@MEANINGS
def _now(machine: Machine) -> int:
    return machine.environment.now_ns()


@MEANINGS
def _time_diff(_machine: Machine, a: int, b: int) -> float:
    return float(a - b) / 1e9
