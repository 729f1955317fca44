"""What an RPC costs on its way: CPU time in microseconds, from measurements, for elements in an order and on sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appnet.application.model import Side
from appnet.ir.nodes import Block, Element, Foreach, Handler, Match, StateClass, Statement, WriteField
from appnet.ir.walk import call_of, read_field_of
from appnet.language.operations import OPERATIONS, Effect

_ITEMS_OF_A_LOOP = 8  # what a Vec is taken to hold, where nothing is known
_KINDS = {
    "encrypt": "crypto",
    "decrypt": "crypto",
    "hmac": "crypto",
    "compress": "compression",
    "decompress": "compression",
    "random_choices": "container",
    "quantile": "container",
}

KINDS = ("plain", "container", "metadata", "time", "record", "write", "crypto", "compression")
"""Of operations: each has a price of its own."""


@dataclass(frozen=True)
class TargetCosts:
    """One target. ``operations``: microseconds by kind, one of `KINDS`."""

    module: float
    """For an RPC to enter and leave a module, both ways."""
    request_message: float
    """To hold a request until its message is whole, and to find the fields in it."""
    response_message: float
    operations: Mapping[str, float]


@dataclass(frozen=True)
class CostModel:
    """``measured``: where and how the numbers were taken.

    ``crossing``: what an RPC costs behind the client's side, whatever elements are there: the wire, the server's
    proxy, the server. An RPC that ends before saves it. ``refused``: the share of RPCs that an element which can
    refuse is taken to end, where no profile says better.
    """

    measured: str
    targets: Mapping[str, TargetCosts]
    crossing: float
    refused: float = 0.01


@dataclass(frozen=True)
class Profile:
    """What was seen of a chain's traffic.

    ``refused``: the share of RPCs that reach an element and that it ends, by element. ``rate``: RPCs per second.
    """

    refused: Mapping[str, float] = field(default_factory=dict)
    rate: float | None = None


@dataclass(frozen=True)
class Costs:
    """One element on one target. ``own``: microseconds for an RPC that reaches it; ``keeps``: the share it lets on."""

    own: float
    keeps: float
    reads_request: bool
    reads_response: bool


def costs_of(element: Element, model: CostModel, target: str, refused: float | None = None) -> Costs:
    """What the element costs, expected from its code. ``refused``: the share of RPCs that it was seen to end."""
    prices = model.targets[target]
    effects = element.req.effects
    can_end = effects.can_refuse or effects.can_drop or effects.can_reply
    if refused is None:
        refused = model.refused if can_end else 0.0
    request, response = operations_of(element)
    keeps = 1.0 - refused
    own = _priced(request, prices) + keeps * _priced(response, prices)
    return Costs(own, keeps, _uses_message(element.req), _uses_message(element.resp))


def operations_of(element: Element) -> tuple[dict[str, float], dict[str, float]]:
    """How many operations of each kind an RPC is expected to cost in `req` and in `resp`."""
    kinds = {
        it.name: kind
        for it in element.state
        for state_class, kind in ((StateClass.RECORD, "record"), (StateClass.RPC_SCOPED, "plain"))
        if it.state_class is state_class
    }
    request: dict[str, float] = defaultdict(float)
    response: dict[str, float] = defaultdict(float)
    _count(element.req.body, 1.0, kinds, request)
    _count(element.resp.body, 1.0, kinds, response)
    return request, response


def _priced(operations: Mapping[str, float], prices: TargetCosts) -> float:
    return sum(count * prices.operations[kind] for kind, count in operations.items())


def expected_cost(
    costs: Sequence[Costs],
    order: Sequence[int],
    sides: Sequence[Side],
    model: CostModel,
    target: str,
    *,
    fused: bool = True,
) -> float:
    """Microseconds for an RPC through the elements ``order``, each on its side (by element, not by place).

    ``fused``: the elements of a side share one module; otherwise each has its own.
    """
    prices = model.targets[target]
    total, alive = 0.0, 1.0
    for side in Side:
        here = [costs[it] for it in order if sides[it] is side]
        total += alive * entering(here, prices) if fused else 0.0
        for it in here:
            total += alive * (it.own if fused else it.own + entering([it], prices))
            alive *= it.keeps
        if side is Side.CLIENT:
            total += alive * model.crossing
    return total


def entering(here: Sequence[Costs], prices: TargetCosts) -> float:
    """What elements fused into one module share; nothing where there are none, as no filter is needed then."""
    if not here:
        return 0.0
    request = prices.request_message if any(it.reads_request for it in here) else 0.0
    response = prices.response_message if any(it.reads_response for it in here) else 0.0
    return prices.module + request + response


def _uses_message(handler: Handler) -> bool:
    return bool(handler.effects.fields)


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
    if isinstance(statement, WriteField):
        return ("write",)
    call = call_of(statement)
    if call is not None:
        place = getattr(call.args[0], "name", "") if call.args else ""
        return (kinds.get(place) or kind_of(call.op),)
    return ("plain",) if read_field_of(statement) is None else ()  # found with all the others


def kind_of(operation: str) -> str:
    """The kind under which the operation is priced."""
    if operation in _KINDS:
        return _KINDS[operation]
    effects = OPERATIONS[operation].effects
    for effect, kind in (
        (Effect.READS_CONTAINER | Effect.WRITES_CONTAINER, "container"),
        (Effect.READS_METADATA | Effect.WRITES_METADATA, "metadata"),
        (Effect.TIME, "time"),
    ):
        if effects & effect:
            return kind
    return "plain"
