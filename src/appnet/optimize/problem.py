"""What may be chosen for a chain: which pairs keep their order, where each element may run, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from appnet.analysis import Decision, Proved, Strength, infer
from appnet.analysis.properties import Properties
from appnet.ir.nodes import Element
from appnet.optimize.placement import Place
from appnet.optimize.sides import Bound, beside_answers, beside_sizes, within_ties

Decide = Callable[[Element, Element, Strength], Decision]
"""Whether two neighbours may swap, the first of them standing before the second."""


@dataclass(frozen=True)
class Problem:
    """A chain as written, in request order. Places are told by their numbers, in request order, too.

    ``suits``: where each element may run. ``written``: where it runs as written. ``kept``: pairs (i, j), i before j,
    that keep their order. ``decisions``: what was decided of each pair. ``bound``: what binds each to its side.
    """

    elements: tuple[Element, ...]
    suits: tuple[frozenset[int], ...]
    written: tuple[int, ...]
    kept: frozenset[tuple[int, int]]
    decisions: Mapping[tuple[int, int], Decision]
    bound: tuple[Bound, ...] = field(default=(), kw_only=True)

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
    places: Sequence[Place] = (),
    bound: Sequence[Bound] = (),
) -> Problem:
    """The problem for a chain. ``strength`` None keeps no order but what the places ask for.

    ``pairs``: those to decide, by default all; the others keep their order. ``properties``: of the elements, by
    default what is inferred. ``bound``: what binds each to its side of ``places``; by default nothing does.
    """
    found = [infer(it) for it in elements] if properties is None else properties
    decisions: dict[tuple[int, int], Decision] = {}
    every = list(combinations(range(len(elements)), 2))
    kept = set(every) if strength is not None else set()
    if strength is not None:
        hearing = [it.response.reads_status or bool(it.response.metadata_read) for it in found]
        readers_of_errors = {number for number, hears in enumerate(hearing) if hears}
        for i, j in every if pairs is None else pairs:
            decision = decisions[i, j] = decide(elements[i], elements[j], strength)
            if isinstance(decision, Proved) and not (decision.status_may_differ and readers_of_errors - {i, j}):
                kept.remove((i, j))
    if bound:
        names = [it.name for it in elements]
        suits = within_ties(suits, written, places, bound)
        suits, bound = beside_answers(names, suits, written, places, bound, kept)
        suits, bound = beside_sizes(names, suits, written, places, bound)
    return Problem(tuple(elements), tuple(suits), tuple(written), frozenset(kept), decisions, bound=tuple(bound))
