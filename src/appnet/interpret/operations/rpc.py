"""The call in hand."""

from __future__ import annotations

from appnet.interpret import deadlines
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


@MEANINGS
def _authority(machine: Machine) -> bytes:
    return machine.call().authority


@MEANINGS
def _peer(machine: Machine) -> bytes:
    return machine.call().peer


@MEANINGS
def _deadline(machine: Machine) -> float:
    return deadlines.seconds_left(machine.call(), machine.environment.now_ns())


@MEANINGS
def _set_deadline(machine: Machine, seconds: float) -> None:
    deadlines.shorten(machine.call(), machine.environment.now_ns(), seconds)
