"""What may be chosen for a chain: which pairs keep their order, which sides are fixed, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from appnet.analysis import Decision, Proved, Strength, infer
from appnet.analysis.properties import ANY, Properties
from appnet.application.model import Side
from appnet.ir.nodes import Element

Decide = Callable[[Element, Element, Strength], Decision]
"""Whether two neighbours may swap, the first of them standing before the second."""


@dataclass(frozen=True)
class Problem:
    """A chain as written, in request order.

    ``sides``: where each element has to run; None where either will do. ``written_sides``: where it runs as written.
    ``kept``: pairs (i, j), i before j, that keep their order. ``decisions``: what was decided of each pair.
    """

    elements: tuple[Element, ...]
    sides: tuple[Side | None, ...]
    written_sides: tuple[Side, ...]
    kept: frozenset[tuple[int, int]]
    decisions: Mapping[tuple[int, int], Decision]

    def is_legal(self, order: Sequence[int], sides: Sequence[Side]) -> bool:
        """Whether the elements in this order, on these sides, are a chain that means the same."""
        place = {it: number for number, it in enumerate(order)}
        if any(place[i] > place[j] for i, j in self.kept):
            return False
        if any(wanted not in (None, sides[it]) for it, wanted in enumerate(self.sides)):
            return False
        along = [sides[it] for it in order]
        return along == sorted(along, key=list(Side).index)


def problem_of(
    elements: Sequence[Element],
    sides: Sequence[Side | None],
    written_sides: Sequence[Side],
    strength: Strength | None,
    decide: Decide,
    pairs: Iterable[tuple[int, int]] | None = None,
    properties: Sequence[Properties] | None = None,
) -> Problem:
    """The problem for a chain. ``strength`` None keeps no order but what the sides ask for.

    ``pairs``: those to decide, by default all; the others keep their order. ``properties``: of the elements, by
    default what is inferred.
    """
    found = [infer(it) for it in elements] if properties is None else properties
    fixed = tuple(
        Side.CLIENT if side is None and _chooses_host(it) else side for it, side in zip(found, sides, strict=True)
    )
    decisions: dict[tuple[int, int], Decision] = {}
    every = list(combinations(range(len(elements)), 2))
    kept = set(every) if strength is not None else set()
    if strength is not None:
        readers_of_status = {number for number, it in enumerate(found) if it.response.reads_status}
        for i, j in every if pairs is None else pairs:
            decision = decisions[i, j] = decide(elements[i], elements[j], strength)
            if isinstance(decision, Proved) and not (decision.status_may_differ and readers_of_status - {i, j}):
                kept.remove((i, j))
    return Problem(tuple(elements), fixed, tuple(written_sides), frozenset(kept), decisions)


def _chooses_host(properties: Properties) -> bool:
    """Whether it looks at hosts, or may choose one: they are those behind the client's side."""
    asks = properties.request.backends or properties.response.backends
    return asks or bool(properties.request.metadata_written & {"dst", ANY})
