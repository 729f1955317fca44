"""Chains as written: which element stands where (docs/configuration.md, "Where elements run").

As written, a request passes the client chain, the any chain, the first of each pair, then the second of each pair in
mirrored order, and the server chain. What lies before the middle of the pairs runs on the client's side. The any chain
is bound to neither side: it joins the client's unless only the server's side has elements of its own, so that an edge
never needs a second module for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from appnet.application.appnet_config import AppNetConfig, ElementSpec


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
