"""What is said of an operation, in one record that every stage reads.

The checker resolves operators and functions of the surface language to operations. The interpreter, each code generator
and the analysis give every operation a meaning of their own; `tests/built_ins` names what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from typing import Literal

CostKind = Literal["plain", "container", "metadata", "metadata_write", "time", "encryption", "signature", "compression"]
"""Operations of one kind have one price."""


class Effect(Flag):
    """What running an operation can depend on or change, besides its arguments."""

    PURE = 0
    RANDOM = auto()
    TIME = auto()
    READS_CALL = auto()  # what stays as it is while the call lasts
    READS_METADATA = auto()
    WRITES_METADATA = auto()
    READS_TRAILERS = auto()
    WRITES_TRAILERS = auto()
    READS_DEADLINE = auto()
    SETS_DEADLINE = auto()
    READS_STATUS = auto()
    READS_MESSAGE = auto()  # the message as a whole
    READS_CONTAINER = auto()  # its first argument is a container place
    WRITES_CONTAINER = auto()
    READS_BACKENDS = auto()
    COUNTS_CALLS = auto()  # of this processor instance


OF_METADATA = Effect.READS_METADATA | Effect.WRITES_METADATA | Effect.READS_TRAILERS | Effect.WRITES_TRAILERS
OF_DEADLINES = Effect.READS_DEADLINE | Effect.SETS_DEADLINE
OF_THE_CALL = Effect.READS_CALL | OF_METADATA | OF_DEADLINES | Effect.READS_STATUS | Effect.READS_MESSAGE
"""What `init` cannot do: it runs before there is a call."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    ``signature``: the letters T, K and V stand for any type, C for any scalar, N for int, uint or float, I for int or
    uint, and S for string or bytes. ``usage``: how a program writes it. ``meaning``: a sentence for the reference.
    ``example``: lines of a program, of which the last is true; ``block``: where they stand. ``cost``: its kind, where
    the effects do not tell it.
    ``opaque``: proofs know nothing of it but that equal operands give equal results. ``fallible``: where it gives None,
    the handler ends and the caller gets INVALID_ARGUMENT, "NAME failed in ELEMENT".
    """

    name: str
    signature: str
    usage: str
    meaning: str
    example: str
    effects: Effect = Effect.PURE
    cost: CostKind | None = None
    opaque: bool = False
    fallible: bool = False
    block: Literal["req", "resp"] = "req"

    @property
    def function(self) -> str:
        """The function that programs call for it; empty for an operator."""
        name, parenthesis, _ = self.usage.partition("(")
        return name if parenthesis and name.isidentifier() else ""

    @property
    def cost_kind(self) -> CostKind:
        """The kind under which it is priced."""
        if self.cost is not None:
            return self.cost
        if self.effects & (Effect.READS_CONTAINER | Effect.WRITES_CONTAINER):
            return "container"
        if self.effects & (Effect.WRITES_METADATA | Effect.WRITES_TRAILERS):
            return "metadata_write"
        if self.effects & OF_METADATA:
            return "metadata"
        return "time" if Effect.TIME in self.effects else "plain"
