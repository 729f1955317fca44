"""Which element runs where, and what is compiled together (docs/configuration.md, "Where elements run").

As written, a request passes the client chain, the any chain, the first of each pair, then the second of each pair in
mirrored order, and the server chain. What lies before the middle of the pairs runs on the client's side. The any chain
is bound to neither side: it joins the client's unless only the server's side has elements of its own, so that an edge
never needs a second module for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from appnet.application.appnet_config import AppNetConfig, ElementSpec


class OptLevel(Enum):
    """What may be changed about a chain while it means the same (docs/language.md, "When are two chains the same?")."""

    NO = "no"
    """Run exactly as written: one module for each element."""
    IGNORE = "ignore"
    """Only the sides that were asked for bind."""
    WEAK = "weak"
    """The same RPCs arrive with the same content; records, and who refuses where more than one would, may differ."""
    STRONG = "strong"
    """Every call, message and state as before."""


class Side(Enum):
    """An end of an edge."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True)
class Edge:
    """Calls of ``methods`` (as the user wrote them) from service ``client`` to service ``server``."""

    client: str
    server: str
    methods: tuple[str, ...]

    def service(self, side: Side) -> str:
        """The service on ``side``."""
        return self.client if side is Side.CLIENT else self.server

    def __str__(self) -> str:
        return f"{self.client}->{self.server}"


@dataclass(frozen=True)
class Segment:
    """Elements that run one after the other on one processor as one module. ``name`` is unique on its edge."""

    name: str
    side: Side
    processor: str
    elements: tuple[ElementSpec, ...]


@dataclass(frozen=True)
class Plan:
    """All segments of an edge, in request order."""

    edge: Edge
    segments: tuple[Segment, ...]

    def on(self, side: Side) -> tuple[Segment, ...]:
        """The segments of one side, in request order."""
        return tuple(it for it in self.segments if it.side is side)


@dataclass(frozen=True)
class Stop:
    """An element on the way of a request. ``fixed``: the side it was bound to; ``side``: where it runs as written."""

    spec: ElementSpec
    fixed: Side | None
    side: Side


@dataclass(frozen=True)
class Chain:
    """The elements on an edge in request order, as written; ``processor`` carries all of them."""

    edge: Edge
    processor: str
    stops: tuple[Stop, ...]


def chain_of(config: AppNetConfig) -> Chain:
    """The chain of the configuration, on its first processor."""
    edge = Edge(config.client_service.value, config.server_service.value, tuple(it.value for it in config.methods))
    return Chain(edge, config.processors[0], _stops(config))


def _stops(config: AppNetConfig) -> tuple[Stop, ...]:
    """All elements in request order, as written."""
    before, after = config.pair_chain[::2], config.pair_chain[1::2][::-1]
    only_server = not config.client_chain and not config.pair_chain and bool(config.server_chain)
    home = Side.SERVER if only_server else Side.CLIENT
    return (
        *(Stop(it, Side.CLIENT, Side.CLIENT) for it in config.client_chain),
        *(Stop(it, None, home) for it in config.any_chain),
        *(Stop(it, Side.CLIENT, Side.CLIENT) for it in before),
        *(Stop(it, Side.SERVER, Side.SERVER) for it in (*after, *config.server_chain)),
    )


def place(chain: Chain, level: OptLevel) -> Plan:
    """The plan in the order as written; ``OptLevel.NO`` makes a module of each element."""
    return plan_of(chain, [(it.spec, it.side) for it in chain.stops], fused=level is not OptLevel.NO)


def plan_of(chain: Chain, placed: Iterable[tuple[ElementSpec, Side]], *, fused: bool) -> Plan:
    """The plan for elements in this order on these sides."""
    segments: list[Segment] = []
    everything = list(placed)
    for side in Side:
        elements = tuple(spec for spec, where in everything if where is side)
        if fused and elements:
            segments.append(Segment(side.value, side, chain.processor, elements))
        elif not fused:
            segments += [Segment(f"{side.value}-{it.name}", side, chain.processor, (it,)) for it in elements]
    return Plan(chain.edge, tuple(segments))
