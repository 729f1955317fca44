"""Where elements run: the places on a request's way, and what is compiled together for each.

A place is one processor on one side of the wire with one of its targets: a library, a sidecar and a waypoint on one
side are three places. Places are listed in the order in which a request passes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from appnet.application.model import Edge, ElementSpec, Side
from appnet.ir.needs import Capability
from appnet.optimize.cost import TargetCosts


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
class Place:
    """Where elements can run: what ``processor`` makes of them for its ``target`` on ``side``.

    ``passing``: what an RPC costs there where no element is, in microseconds: 0 inside of programs.
    """

    side: Side
    processor: str
    target: str
    gives: Capability
    prices: TargetCosts
    passing: float = 0.0

    @property
    def where(self) -> tuple[Side, str, str]:
        """What tells it from other places, whatever they give and at whatever prices."""
        return self.side, self.processor, self.target


@dataclass(frozen=True)
class Segment:
    """Elements that run one after the other in one place as one module. ``name`` is unique in its plan."""

    name: str
    place: Place
    elements: tuple[ElementSpec, ...]


@dataclass(frozen=True)
class Plan:
    """All segments of a chain, in request order."""

    edge: Edge
    segments: tuple[Segment, ...]


def plan_of(
    edge: Edge,
    places: Sequence[Place],
    placed: Iterable[tuple[ElementSpec, int]],
    *,
    fused: bool,
) -> Plan:
    """The plan for elements in this order, each with the number of its place; unfused, each is a module of its own."""
    segments: list[Segment] = []
    everything = list(placed)
    for number, (place, words) in enumerate(zip(places, labels(places), strict=True)):
        name = "-".join(words)
        elements = tuple(spec for spec, where in everything if where == number)
        if fused and elements:
            segments.append(Segment(name, place, elements))
        elif not fused:
            segments += [Segment(f"{name}-{it.name}", place, (it,)) for it in elements]
    return Plan(edge, tuple(segments))


def labels(places: Sequence[Place]) -> list[tuple[str, ...]]:
    """What tells the places apart: the side, where it has several the processor, too, and then the target."""
    sides = Counter(it.side for it in places)
    processors = Counter((it.side, it.processor) for it in places)
    found: list[tuple[str, ...]] = []
    for it in places:
        words = (it.side.value, it.processor, it.target)
        alone = sides[it.side] == 1
        found.append(words[:1] if alone else words[:2] if processors[it.side, it.processor] == 1 else words)
    return found
