"""gRPC metadata."""

from __future__ import annotations

from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.values import Value

MEANINGS = Meanings()


@MEANINGS
def _get_metadata(machine: Machine, key: bytes) -> bytes:
    return machine.in_hand().get_metadata(key)


@MEANINGS
def _set_metadata(machine: Machine, key: bytes, value: bytes) -> None:
    machine.in_hand().set_metadata(key, value)


@MEANINGS
def _get_metadata_all(machine: Machine, key: bytes) -> list[Value]:
    return list(machine.in_hand().get_metadata_all(key))


@MEANINGS
def _delete_metadata(machine: Machine, key: bytes) -> None:
    machine.in_hand().delete_metadata(key)


@MEANINGS
def _get_trailer(machine: Machine, key: bytes) -> bytes:
    return machine.in_hand().get_trailer(key)


@MEANINGS
def _set_trailer(machine: Machine, key: bytes, value: bytes) -> None:
    machine.in_hand().set_trailer(key, value)
