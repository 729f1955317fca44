"""What an RPC costs on its way: CPU time in microseconds, from measurements, for elements in an order and on sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appnet.ir.nodes import Block, Element, Foreach, Handler, Match, StateClass, Statement
from appnet.ir.walk import call_of, read_field_of
from appnet.language.operations import OPERATIONS, Effect
from appnet.network.placement import Side

_ITEMS_OF_A_LOOP = 8  # what a Vec is taken to hold, where nothing is known
_SLOW = {"encrypt": "crypto", "decrypt": "crypto", "random_choices": "container", "quantile": "container"}


@dataclass(frozen=True)
class TargetCosts:
    """One target. ``operations``: microseconds by kind; a kind that is not there costs as much as ``plain``."""

    module: float
    """For an RPC to enter and leave a module, both ways."""
    request_message: float
    """To hold a request until its message is whole, and to find the fields in it."""
    response_message: float
    operations: Mapping[str, float]

    def operation(self, kind: str) -> float:
        """Microseconds for one operation of the kind."""
        return self.operations.get(kind, self.operations["plain"])


@dataclass(frozen=True)
class CostModel:
    """``measured``: where and how the numbers were taken.

    ``crossing``: what an RPC costs behind the client's side, whatever elements are there: the wire, the server's
    proxy, the server. An RPC that ends before saves it. ``refused``: the share of RPCs that an element which can
    refuse is taken to end, where no profile says better.
    """

    measured: str
    targets: Mapping[str, TargetCosts]
    crossing: float = 60.0
    refused: float = 0.01


@dataclass(frozen=True)
class Profile:
    """What was seen of real traffic: the share of RPCs that reach an element and that it ends, by element."""

    refused: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """One element on one target. ``own``: microseconds for an RPC that reaches it; ``keeps``: the share it lets on."""

    own: float
    keeps: float
    reads_request: bool
    reads_response: bool


def costs_of(element: Element, model: CostModel, target: str, profile: Profile) -> Costs:
    """What the element costs, expected from its code."""
    prices = model.targets[target]
    can_end = element.req.effects.can_refuse or element.req.effects.can_drop
    refused = profile.refused.get(element.name, model.refused if can_end else 0.0)
    records = frozenset(it.name for it in element.state if it.state_class is StateClass.RECORD)
    request, response = (_block(it.body, prices, records) for it in (element.req, element.resp))
    keeps = 1.0 - refused
    return Costs(request + keeps * response, keeps, _uses_message(element.req), _uses_message(element.resp))


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


def _block(block: Block, prices: TargetCosts, records: frozenset[str]) -> float:
    return sum(_statement(it, prices, records) for it in block.statements)


def _statement(statement: Statement, prices: TargetCosts, records: frozenset[str]) -> float:
    match statement:
        case Match(arms=arms):  # each arm as likely as the others
            return prices.operation("plain") + sum(_block(it.body, prices, records) for it in arms) / len(arms)
        case Foreach(body=body):
            return _ITEMS_OF_A_LOOP * (prices.operation("plain") + _block(body, prices, records))
    call = call_of(statement)
    if call is not None:
        place = getattr(call.args[0], "name", "") if call.args else ""
        return prices.operation("record" if call.op == "vec_append" and place in records else kind_of(call.op))
    return prices.operation("plain") if read_field_of(statement) is None else 0.0  # found with all the others


def kind_of(operation: str) -> str:
    """The kind under which the operation is priced."""
    if operation in _SLOW:
        return _SLOW[operation]
    effects = OPERATIONS[operation].effects
    for effect, kind in (
        (Effect.READS_CONTAINER | Effect.WRITES_CONTAINER, "container"),
        (Effect.READS_METADATA | Effect.WRITES_METADATA, "metadata"),
        (Effect.TIME, "time"),
    ):
        if effects & effect:
            return kind
    return "plain"


DEFAULT = CostModel(
    "`make bench-dataplane` on a virtual machine with two cores of an AMD EPYC, Envoy 1.40.0, at full load",
    {
        "native": TargetCosts(
            0.9,
            0.6,
            0.6,
            {"plain": 0.005, "container": 0.06, "metadata": 0.12, "time": 0.04, "record": 0.2, "crypto": 1.5},
        ),
        "wasm": TargetCosts(
            2.2,
            1.4,
            1.4,
            {"plain": 0.01, "container": 0.12, "metadata": 0.5, "time": 0.25, "record": 0.4, "crypto": 4.0},
        ),
    },
)
