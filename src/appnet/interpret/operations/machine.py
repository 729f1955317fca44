"""What the meaning of an operation runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appnet.interpret.random import Generator
from appnet.interpret.rpc import Environment, Message, Rpc
from appnet.interpret.values import Value
from appnet.language.types import Type


class Backends(Protocol):
    """The hosts of the upstream cluster, as seen from the processor instance."""

    def load(self, host: int) -> int:
        """Calls in flight to the host; 0 where there is no such host."""


@dataclass
class Machine:
    """What an operation can reach besides its operands.

    ``type``: of the result. ``capacity``: of the container that is the first operand. ``evicted``: how many entries and
    items it let go.
    ``exhausted``: whether there was no memory for a result.
    ``rpc``, ``message``: those in hand; None in ``init``, where no operation asks for them.
    """

    environment: Environment
    generator: Generator
    backends: Backends
    type: Type
    capacity: int
    rpc: Rpc | None
    message: Message | None
    evicted: int = 0
    exhausted: bool = False

    def call(self) -> Rpc:
        """The call in hand."""
        assert self.rpc is not None, "init has no call"
        return self.rpc

    def in_hand(self) -> Message:
        """The message in hand."""
        assert self.message is not None, "init has no message"
        return self.message


Meaning = Callable[..., Value]
"""Gets the `Machine` it runs on, then its operands. A container that it asks or changes is the container itself; every
other operand is a copy, and what it gives is copied by the caller."""


class Meanings(dict[str, Meaning]):
    """The meanings of a family of operations, by name; decorates a function of the operation's name."""

    def __call__(self, function: Meaning) -> Meaning:
        """The function, whose name the family now knows."""
        self[function.__name__.strip("_")] = function
        return function
