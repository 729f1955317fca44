"""What an RPC costs on its way: CPU time in microseconds, from measurements, for elements in an order and in places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from appnet.ir.nodes import (
    Block,
    ClearField,
    Delay,
    Element,
    Foreach,
    Handler,
    Match,
    Route,
    StateClass,
    Statement,
    WriteField,
)
from appnet.ir.walk import call_of, read_field_of
from appnet.language.operations.registry import OPERATIONS

_ITEMS_OF_A_LOOP = 8  # what a Vec is taken to hold, where nothing is known
_REFUSED = 0.01  # the share of RPCs that an element which can refuse is taken to end, where no profile says better

KINDS = (
    *("plain", "container", "metadata", "metadata_write", "time", "record", "write"),
    *("encryption", "signature", "compression"),
)
"""Of operations: each has a price of its own."""


@dataclass(frozen=True)
class TargetCosts:
    """One target. ``operations``: microseconds by kind, one of `KINDS`."""

    module: float
    """For an RPC to enter and leave a module, both ways."""
    request_message: float
    """To hold a request until its message is whole, and to find the fields in it."""
    response_message: float
    operations: Mapping[str, float] = field(hash=False)


@dataclass(frozen=True)
class CostModel:
    """The prices of a processor's targets. ``measured``: where and how the numbers were taken.

    ``crossing``: what an RPC costs behind the client's side, whatever elements are there: the wire, the server's
    proxy, the server. An RPC that ends before saves it. ``proxy``: what of that a proxy takes that has no elements.
    """

    measured: str
    targets: Mapping[str, TargetCosts]
    crossing: float
    proxy: float = 0.0

    @property
    def wire(self) -> float:
        """What an RPC costs behind the client's side without any proxy."""
        return max(self.crossing - self.proxy, 0.0)


@dataclass(frozen=True)
class Profile:
    """What was seen of a chain's traffic.

    ``refused``: the share of RPCs that reach an element and that it ends, by element. ``rate``: RPCs per second.
    ``stays``: the median of the microseconds that modules had an RPC in hand, by side.
    """

    refused: Mapping[str, float] = field(default_factory=dict)
    rate: float | None = None
    stays: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """One element. ``own``: microseconds for an RPC that reaches it, by place; ``keeps``: the share it lets on."""

    own: tuple[float, ...]
    keeps: float
    reads_request: bool
    reads_response: bool


def costs_of(element: Element, prices: Sequence[TargetCosts], refused: float | None = None) -> Costs:
    """What the element costs, expected from its code, at the prices of each place.

    ``refused``: the share of RPCs that it was seen to end. One that ends no request lets all of them on, whatever was
    seen: what it ended were responses, or another version of it did.
    """
    asking = [it.effects for it in (element.open, element.req) if it is not None]
    if not any(it.can_refuse or it.can_drop or it.can_reply for it in asking):
        refused = 0.0
    elif refused is None:
        refused = _REFUSED
    request, response = operations_of(element)
    keeps = 1.0 - refused
    own = tuple(_priced(request, it) + keeps * _priced(response, it) for it in prices)
    return Costs(own, keeps, _uses_message(element.req), _uses_message(element.resp))


def operations_of(element: Element) -> tuple[dict[str, float], dict[str, float]]:
    """How many operations of each kind an RPC is expected to cost on its way there and back."""
    kinds = {
        it.name: kind
        for it in element.state
        for state_class, kind in ((StateClass.RECORD, "record"), (StateClass.RPC_SCOPED, "plain"))
        if it.state_class is state_class
    }
    request: dict[str, float] = defaultdict(float)
    response: dict[str, float] = defaultdict(float)
    for name, handler in element.handlers.items():
        _count(handler.body, 1.0, kinds, request if name in {"open", "req"} else response)
    return request, response


def _priced(operations: Mapping[str, float], prices: TargetCosts) -> float:
    return sum(count * prices.operations[kind] for kind, count in operations.items())


def entering(here: Iterable[Costs], prices: TargetCosts) -> float:
    """What elements fused into one module share; nothing where there are none, as no filter is needed then."""
    here = list(here)
    if not here:
        return 0.0
    request = prices.request_message if any(it.reads_request for it in here) else 0.0
    response = prices.response_message if any(it.reads_response for it in here) else 0.0
    return prices.module + request + response


def _uses_message(handler: Handler) -> bool:
    return handler.effects.reads_message


def _count(block: Block, share: float, kinds: Mapping[str, str], found: dict[str, float]) -> None:
    """Adds what ``share`` runs of the block do. ``kinds``: of operations on a state variable, where it decides."""
    for it in block.statements:
        for kind in _kinds_of(it, kinds):
            found[kind] += share
        match it:
            case Match(arms=arms):  # each arm as likely as the others
                for arm in arms:
                    _count(arm.body, share / len(arms), kinds, found)
            case Foreach(body=body):
                found["plain"] += share * (_ITEMS_OF_A_LOOP - 1)
                _count(body, share * _ITEMS_OF_A_LOOP, kinds, found)


def _kinds_of(statement: Statement, kinds: Mapping[str, str]) -> tuple[str, ...]:
    if isinstance(statement, WriteField | ClearField):
        return ("write",)
    if isinstance(statement, Route | Delay):
        return ("metadata_write",)  # a header, for Envoy
    call = call_of(statement)
    if call is not None:
        place = getattr(call.args[0], "name", "") if call.args else ""
        return (kinds.get(place) or OPERATIONS[call.op].cost_kind,)
    return ("plain",) if read_field_of(statement) is None else ()  # found with all the others
