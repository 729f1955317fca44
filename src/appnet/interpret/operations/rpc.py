"""The call in hand."""

from __future__ import annotations

from appnet.interpret.operations.machine import Machine, Meanings

MEANINGS = Meanings()


@MEANINGS
def _rpc_id(machine: Machine) -> int:
    return machine.call().rpc_id


@MEANINGS
def _method(machine: Machine) -> bytes:
    return machine.call().signature.full_name.encode()


@MEANINGS
def _message_size(machine: Machine) -> int:
    return 0 if machine.in_hand().made_here else machine.in_hand().size


@MEANINGS
def _status(machine: Machine) -> int:
    return machine.in_hand().status
