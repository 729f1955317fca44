"""Time."""

from __future__ import annotations

from appnet.interpret.operations.machine import Machine, Meanings

MEANINGS = Meanings()


@MEANINGS
def _now(machine: Machine) -> int:
    return machine.environment.now_ns()


@MEANINGS
def _wall_time(machine: Machine) -> float:
    environment = machine.environment
    return float(environment.now_ns() + environment.wall_ahead_ns) / 1e9


@MEANINGS
def _time_diff(_machine: Machine, a: int, b: int) -> float:
    return float(a - b) / 1e9
