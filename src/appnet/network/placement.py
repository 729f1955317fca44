"""Which element runs where, and what is compiled together (docs/configuration.md, "Where elements run").

On the wire a request passes the client chain, the any chain, the first of each pair, then the second of each pair in
mirrored order, and the server chain. What lies before the middle of the pairs runs on the client's side. The any chain
is bound to neither side: it joins the client's unless only the server's side has elements of its own, so that an edge
never needs a second module for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from appnet.network.config import AppNetConfig, ElementSpec


class OptLevel(Enum):
    """What may be changed about a chain while it means the same (docs/language.md, "When are two chains the same?")."""

    NO = "no"
    """Run exactly as written: one module for each element."""
    STRONG = "strong"
    """One module for each segment; every call, message and state as before."""


class Side(Enum):
    """An end of an edge."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True)
class Edge:
    """Calls of ``method`` (as the user wrote it) from service ``client`` to service ``server``."""

    client: str
    server: str
    method: str

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


def place(config: AppNetConfig, level: OptLevel) -> Plan:
    """The plan for ``config``: its first processor carries all elements."""
    edge = Edge(config.client_service.value, config.server_service.value, config.method.value)
    before, after = config.pair_chain[::2], config.pair_chain[1::2][::-1]
    client: tuple[ElementSpec, ...] = (*config.client_chain, *config.any_chain, *before)
    server: tuple[ElementSpec, ...] = (*after, *config.server_chain)
    if not config.client_chain and not config.pair_chain and config.server_chain:
        client, server = (), (*config.any_chain, *server)
    segments = [*_segments(Side.CLIENT, client, config, level), *_segments(Side.SERVER, server, config, level)]
    return Plan(edge, tuple(segments))


def _segments(
    side: Side, elements: tuple[ElementSpec, ...], config: AppNetConfig, level: OptLevel
) -> Iterable[Segment]:
    processor = config.processors[0]
    if level is OptLevel.NO:
        return [Segment(f"{side.value}-{it.name}", side, processor, (it,)) for it in elements]
    return [Segment(side.value, side, processor, elements)] if elements else []
