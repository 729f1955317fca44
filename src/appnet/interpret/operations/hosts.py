"""The hosts of the upstream cluster."""

from __future__ import annotations

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.values import Value

MEANINGS = Meanings()


@MEANINGS
def _get_backends(machine: Machine) -> list[Value]:
    return list(range(machine.environment.backend_count))


@MEANINGS
def _get_load(machine: Machine, host: int) -> Value:
    return (machine.backends.load(host), machine.environment.now_ns())


@MEANINGS
def _estimate_rif(machine: Machine, hosts: list[Value]) -> list[Value]:
    return [float(machine.backends.load(host)) for host in hosts]
