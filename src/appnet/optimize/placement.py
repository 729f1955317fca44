"""Which element runs where, and what is compiled together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from appnet.application.model import Chain, Edge, ElementSpec, Side
from appnet.application.processors import carrier


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


def place(chain: Chain, level: OptLevel) -> Plan:
    """The plan in the order as written; ``OptLevel.NO`` makes a module of each element."""
    return plan_of(chain, [(it.spec, it.side) for it in chain.stops], fused=level is not OptLevel.NO)


def plan_of(chain: Chain, placed: Iterable[tuple[ElementSpec, Side]], *, fused: bool) -> Plan:
    """The plan for elements in this order on these sides."""
    segments: list[Segment] = []
    processor = carrier(chain)
    everything = list(placed)
    for side in Side:
        elements = tuple(spec for spec, where in everything if where is side)
        if fused and elements:
            segments.append(Segment(side.value, side, processor, elements))
        elif not fused:
            segments += [Segment(f"{side.value}-{it.name}", side, processor, (it,)) for it in elements]
    return Plan(chain.edge, tuple(segments))
