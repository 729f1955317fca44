"""What printing one body needs to know of its element and of the chain around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from appnet.codegen.c.printer.tallies import Tallies
from appnet.codegen.c.printer.types import Types
from appnet.ir.nodes import Const, Element, StateClass, StateVariable
from appnet.ir.secrets import ChainSecrets
from appnet.ir.sharing import Share, Sharing
from appnet.ir.walk import call_of, statements
from appnet.language.messages import Field, MethodSignature
from appnet.language.types import MapType


class InHand(Enum):
    """Which block is printed, and with it, which message is in hand, if one is."""

    INIT = "init"
    OPEN = "open"
    REQUEST = "req"
    RESPONSE = "resp"
    END = "end"


@dataclass(frozen=True)
class Slot:
    """A field of the message in hand: its index in ``an_call.slots``."""

    index: int
    field: Field


@dataclass(frozen=True)
class ElementContext:
    """An element in its chain.

    ``index`` numbers its lock and its random draws. ``name`` is its identifier in C, ``members`` those of its
    variables in the state or call-state struct. ``records``: the stream of each record variable. All of them are
    the element's on every method; ``functions`` begins the names of its handlers on this one. ``sharer`` numbers it
    among those that have strong state; ``tried``: its state that steps change, see steps.h. ``shares``: how each
    variable is shared.
    """

    element: Element
    method: MethodSignature
    index: int
    name: str
    functions: str
    members: Mapping[str, str]
    records: Mapping[str, int]
    types: Types
    tallies: Tallies
    secrets: ChainSecrets
    shares: Mapping[str, Share]
    sharer: int | None = None
    tried: frozenset[str] = frozenset()

    def is_noted(self, variable: StateVariable) -> bool:
        """Whether what handlers change of it is noted for the next merge; numbers that are no Map are compared then."""
        combiner = self.shares[variable.name].combiner
        return combiner is not None and (combiner in ("LWW", "union") or isinstance(variable.type, MapType))

    def is_in_store(self, variable: str) -> bool:
        """Whether it is strong state, of which each instance has a copy."""
        return self.shares[variable].sharing is Sharing.SHARED

    def variable(self, name: str) -> StateVariable:
        """The state variable of this name."""
        return next(variable for variable in self.element.state if variable.name == name)

    @property
    def classes(self) -> dict[str, StateClass]:
        """The class of each state variable."""
        return {variable.name: variable.state_class for variable in self.element.state}


def end_trailers(element: Element) -> tuple[bytes, ...]:
    """The keys of trailers that its ``end`` asks for, which are noted when the response leaves it."""
    calls = [call_of(it) for it in statements(element.end.body)] if element.end is not None else []
    keys = (it.args[0] for it in calls if it is not None and it.op == "get_trailer")
    return tuple(dict.fromkeys(it.value for it in keys if isinstance(it, Const) and isinstance(it.value, bytes)))


def noted_trailer(context: ElementContext, key: bytes, call: str) -> str:
    """The member of the call's state that has the trailer."""
    number = end_trailers(context.element).index(key)
    return f"((struct appnet_call_state *){call}->state)->{context.name}.trailer_{number}"
