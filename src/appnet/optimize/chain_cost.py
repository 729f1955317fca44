"""What an RPC is expected to cost on a whole chain, in an order and in places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from appnet.application.model import Side
from appnet.optimize.cost import Costs, entering
from appnet.optimize.placement import Place


@dataclass(frozen=True)
class ChainCosts:
    """``elements``: what each costs, with the costs of its own by number of ``places``, which are in request order.

    ``crossing``: what an RPC costs behind the last place on the client's side but for the places there, as
    `CostModel.wire`.
    """

    elements: Sequence[Costs]
    places: Sequence[Place]
    crossing: float

    @cached_property
    def first_at_server(self) -> int:
        """The number of the first place behind the wire."""
        return sum(it.side is Side.CLIENT for it in self.places)

    def way(self, place: int) -> float:
        """What an RPC costs on its way into a place, whatever is there. That it leaves the client costs nothing."""
        wire = self.crossing if place == self.first_at_server else 0.0
        return wire + (self.places[place].passing if place or not self.first_at_server else 0.0)

    def idle(self, order: Sequence[int], at: Sequence[int]) -> dict[int, float]:
        """Proxies without elements beside programs that could have some: what an RPC would save without them."""
        beside_programs = any(not it.passing for it in self.places)
        found = {}
        for number, place in enumerate(self.places):
            if beside_programs and place.passing and number not in at:
                before = (self.elements[it].keeps for it in order if at[it] < number)
                found[number] = math.prod(before) * place.passing
        return found

    def expected(self, order: Sequence[int], at: Sequence[int], *, fused: bool = True) -> float:
        """Microseconds for an RPC through the elements in this ``order``, each in its place: ``at``, by element.

        ``fused``: the elements of a place share one module; otherwise each has its own.
        """
        total, alive = 0.0, 1.0
        for number, inside in enumerate(self.inside(order, at, fused=fused)):
            total += alive * (self.way(number) + inside)
            alive *= math.prod(self.elements[it].keeps for it in order if at[it] == number)
        return total + alive * self.crossing if self.first_at_server == len(self.places) else total

    def inside(self, order: Sequence[int], at: Sequence[int], *, fused: bool = True) -> list[float]:
        """Microseconds that an RPC which comes to a place takes in its modules, by place; as `expected`."""
        found = []
        for number, place in enumerate(self.places):
            here = [self.elements[it] for it in order if at[it] == number]
            total, alive = entering(here, place.prices) if fused else 0.0, 1.0
            for it in here:
                total += alive * (it.own[number] if fused else it.own[number] + entering([it], place.prices))
                alive *= it.keeps
            found.append(total)
        return found
