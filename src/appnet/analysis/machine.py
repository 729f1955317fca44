"""The interpreter's operations run on their own, outside of any chain."""

from __future__ import annotations

from appnet.interpret import Environment, Rpc
from appnet.interpret.operations import Machine
from appnet.interpret.random import Generator
from appnet.interpret.rpc import Message
from appnet.language.capacity import DEFAULT_CAPACITY
from appnet.language.types import Type


class _NoBackends:
    def load(self, host: int) -> int:
        return 0 * host


def bare_machine(type_: Type, rpc: Rpc | None = None, message: Message | None = None, seed: int = 0) -> Machine:
    """What an operation with a result of this type runs on; ``seed``: of its draws."""
    environment = Environment(lambda: 0, seed)
    return Machine(environment, Generator(seed, ""), _NoBackends(), type_, DEFAULT_CAPACITY, rpc, message)
