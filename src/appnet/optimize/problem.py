"""What may be chosen for a chain: which pairs keep their order, where each element may run, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from appnet.analysis import Decision, Proved, Strength, infer
from appnet.analysis.properties import Properties
from appnet.application.model import Side
from appnet.ir.nodes import Element
from appnet.optimize.placement import Place

Decide = Callable[[Element, Element, Strength], Decision]
"""Whether two neighbours may swap, the first of them standing before the second."""


@dataclass(frozen=True)
class Problem:
    """A chain as written, in request order. Places are told by their numbers, in request order, too.

    ``suits``: where each element may run. ``written``: where it runs as written. ``kept``: pairs (i, j), i before j,
    that keep their order. ``decisions``: what was decided of each pair.
    """

    elements: tuple[Element, ...]
    suits: tuple[frozenset[int], ...]
    written: tuple[int, ...]
    kept: frozenset[tuple[int, int]]
    decisions: Mapping[tuple[int, int], Decision]

    def is_legal(self, order: Sequence[int], at: Sequence[int]) -> bool:
        """Whether the elements in this order, each in its place, are a chain that means the same."""
        position = {it: number for number, it in enumerate(order)}
        return (
            all(position[i] < position[j] for i, j in self.kept)
            and all(place in suiting for place, suiting in zip(at, self.suits, strict=True))
            and all(at[one] <= at[next_] for one, next_ in pairwise(order))
        )


def problem_of(
    elements: Sequence[Element],
    suits: Sequence[frozenset[int]],
    written: Sequence[int],
    strength: Strength | None,
    decide: Decide,
    pairs: Iterable[tuple[int, int]] | None = None,
    properties: Sequence[Properties] | None = None,
) -> Problem:
    """The problem for a chain. ``strength`` None keeps no order but what the places ask for.

    ``pairs``: those to decide, by default all; the others keep their order. ``properties``: of the elements, by
    default what is inferred.
    """
    found = [infer(it) for it in elements] if properties is None else properties
    decisions: dict[tuple[int, int], Decision] = {}
    every = list(combinations(range(len(elements)), 2))
    kept = set(every) if strength is not None else set()
    if strength is not None:
        readers_of_status = {number for number, it in enumerate(found) if it.response.reads_status}
        for i, j in every if pairs is None else pairs:
            decision = decisions[i, j] = decide(elements[i], elements[j], strength)
            if isinstance(decision, Proved) and not (decision.status_may_differ and readers_of_status - {i, j}):
                kept.remove((i, j))
    return Problem(tuple(elements), tuple(suits), tuple(written), frozenset(kept), decisions)


def beside_callers(suits: frozenset[int], properties: Properties, places: Sequence[Place]) -> frozenset[int]:
    """The same for an element of no side; one that chooses a host has to be on the client's side."""
    if not _chooses_host(properties):
        return suits
    return frozenset(it for it in suits if places[it].side is Side.CLIENT)


def _chooses_host(properties: Properties) -> bool:
    """Whether it looks at hosts, or may choose one: they are those behind the client's side."""
    asks = properties.request.backends or properties.response.backends
    return asks or properties.request.chooses_host
