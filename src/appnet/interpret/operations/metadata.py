"""gRPC metadata."""

from __future__ import annotations

from appnet.interpret.operations.machine import Machine, Meanings

MEANINGS = Meanings()


@MEANINGS
def _get_metadata(machine: Machine, key: bytes) -> bytes:
    return machine.in_hand().get_metadata(key)


@MEANINGS
def _set_metadata(machine: Machine, key: bytes, value: bytes) -> None:
    machine.in_hand().set_metadata(key, value)
