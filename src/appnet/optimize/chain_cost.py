"""What an RPC is expected to cost on a whole chain, in an order and in places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from appnet.application.model import Side
from appnet.optimize.cost import Costs, entering
from appnet.optimize.placement import Place


@dataclass(frozen=True)
class ChainCosts:
    """``elements``: what each costs, with the costs of its own by number of ``places``, which are in request order.

    ``crossing``: what an RPC costs behind the last place on the client's side, as in `CostModel`.
    """

    elements: Sequence[Costs]
    places: Sequence[Place]
    crossing: float

    @cached_property
    def first_at_server(self) -> int:
        """The number of the first place behind the wire."""
        return sum(it.side is Side.CLIENT for it in self.places)

    def expected(self, order: Sequence[int], at: Sequence[int], *, fused: bool = True) -> float:
        """Microseconds for an RPC through the elements in this ``order``, each in its place: ``at``, by element.

        ``fused``: the elements of a place share one module; otherwise each has its own.
        """
        total, alive, crossed = 0.0, 1.0, False
        for number, place in enumerate(self.places):
            if number == self.first_at_server:
                total, crossed = total + alive * self.crossing, True
            here = [self.elements[it] for it in order if at[it] == number]
            total += alive * entering(here, place.prices) if fused else 0.0
            for it in here:
                total += alive * (it.own[number] if fused else it.own[number] + entering([it], place.prices))
                alive *= it.keeps
        return total if crossed else total + alive * self.crossing
