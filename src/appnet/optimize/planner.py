"""Plans for many chains: each thing is found out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appnet.analysis import DecisionCache
from appnet.application.load import LoadedChain
from appnet.optimize.cost import Profile
from appnet.optimize.known import Known
from appnet.optimize.placement import OptLevel, Place, plan_of
from appnet.optimize.plan import OptimizedPlan, Settings, optimize


class Planner:
    """Plans chains by the same settings. Equal chains, on whatever edges, are planned once.

    ``crossing``: what an RPC costs behind the client's side, as in `CostModel`. Decisions about pairs are kept in
    ``cache``, by default the user's.
    """

    def __init__(self, settings: Settings, crossing: float, cache: DecisionCache | None = None) -> None:
        self._settings, self._crossing = settings, crossing
        self._known = Known(cache, settings.by_hand)
        self._plans: dict[tuple[object, ...], OptimizedPlan] = {}

    def plan(
        self,
        chain: LoadedChain,
        places: Sequence[Place],
        profile: Profile | None = None,
        running: OptimizedPlan | None = None,
        *,
        reorder: bool = False,
    ) -> OptimizedPlan:
        """The plan of the chain, as `optimize` has it."""
        key = (reorder, *_key(chain, places, profile, running))
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = optimize(
                chain, places, self._crossing, self._settings, self._known, profile, running, reorder=reorder
            )
            return found
        stops, arrangement = chain.chain.stops, found.arrangement
        placed = [(stops[it].spec, arrangement.at[it]) for it in arrangement.order]
        fused = self._settings.level is not OptLevel.NO
        return replace(found, plan=plan_of(chain.chain.edge, places, placed, fused=fused))


def _key(
    chain: LoadedChain, places: Sequence[Place], profile: Profile | None, running: OptimizedPlan | None
) -> tuple[object, ...]:
    """What a plan follows from, but for the edge."""
    stops = chain.chain.stops
    names = [it.spec.name.value for it in stops]
    return (
        tuple((it.signature.digest, *(it.elements[name].digest for name in names)) for it in chain.methods),
        tuple((it.fixed, it.side) for it in stops),
        tuple(profile.refused.get(it) for it in names) if profile is not None else None,
        tuple(it.value for it in chain.chain.processors),
        tuple(places),
        running and (running.arrangement, tuple(it.name for it in running.problem.elements), _where(running.places)),
    )


def _where(places: Sequence[Place]) -> tuple[object, ...]:
    return tuple(it.where for it in places)
