"""The plan of a chain that costs least among those that mean the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial

from appnet.analysis import Strength
from appnet.analysis.overrides import Overrides
from appnet.application.load import LoadedChain
from appnet.ir.nodes import Element
from appnet.optimize.chain_cost import ChainCosts
from appnet.optimize.cost import Profile
from appnet.optimize.known import Known
from appnet.optimize.placement import OptLevel, Place, Plan, plan_of
from appnet.optimize.problem import Problem, problem_of
from appnet.optimize.search import Arrangement, as_written, by_rules, cheapest, inverted
from appnet.optimize.sides import at_home
from appnet.optimize.standing import standing

_STRENGTHS = {OptLevel.STRONG: Strength.STRONG, OptLevel.WEAK: Strength.WEAK, OptLevel.IGNORE: None}


class Algorithm(Enum):
    """How an arrangement is chosen among the legal ones."""

    COST = "cost"
    """The least expected cost, exactly."""
    HEURISTICS = "heuristics"
    """The public AppNet's rules of thumb."""


_SEARCHES: Mapping[Algorithm, Callable[[Problem, ChainCosts], Arrangement]] = {
    Algorithm.COST: cheapest,
    Algorithm.HEURISTICS: by_rules,
}


@dataclass(frozen=True)
class Settings:
    """What plans are chosen by, whatever the chain.

    ``by_hand``: properties that replace inferred ones.
    """

    level: OptLevel = OptLevel.STRONG
    algorithm: Algorithm = Algorithm.COST
    by_hand: Overrides | None = None


@dataclass(frozen=True)
class OptimizedPlan:
    """``plan`` is what runs. Costs are expected microseconds of CPU for an RPC.

    ``places``: those to choose among, in request order. ``written_cost``: in the order as written, a module for each
    element. ``free``: elements that the user gave no side. ``problem`` and ``arrangement`` say what could be chosen,
    and what was. ``idle``: as `ChainCosts.idle` has it, by numbers of places. ``inside``: what an RPC takes in the
    modules of each place, if it comes there.
    """

    plan: Plan
    places: tuple[Place, ...]
    level: OptLevel
    problem: Problem
    arrangement: Arrangement
    written_cost: float
    cost: float
    free: frozenset[str] = frozenset()
    idle: Mapping[int, float] = field(default_factory=dict)
    inside: Sequence[float] = ()


def optimize(
    chain: LoadedChain,
    places: Sequence[Place],
    crossing: float,
    settings: Settings,
    known: Known,
    profile: Profile | None = None,
    running: OptimizedPlan | None = None,
    *,
    reorder: bool = False,
) -> OptimizedPlan:
    """The plan for the chain over the places, which are in request order.

    ``crossing``: what an RPC costs behind the client's side. ``known``: what was found out about elements, of this
    chain and others. ``profile``: what was seen of the chain. ``running``: the plan that an edited chain ran by so far;
    where it is still legal it stays, so that an upgrade waits for no other proofs than those that show this.
    ``reorder``: it does not stay, but each element does in the place where it runs.

    Raises `UnsuitedError` where the chain cannot run as written.
    """
    seen = profile if profile is not None else Profile()
    stops, prices = chain.chain.stops, tuple(it.prices for it in places)
    elements = [chain.elements[it.spec.name.value] for it in stops]
    costs = ChainCosts([known.costs(it, prices, seen) for it in elements], places, crossing)
    state = _stating(chain, elements, places, settings, known)
    fused = settings.level is not OptLevel.NO
    kept = _still_legal(running, elements, places, state) if running is not None and fused else None
    if kept is not None and not reorder:
        problem, found = kept
    else:
        problem = state()
        if kept is not None:
            problem = replace(problem, suits=tuple(frozenset({it}) for it in kept[1].at))
        found = _SEARCHES[settings.algorithm](problem, costs) if fused else as_written(problem)
    placed = [(stops[it].spec, found.at[it]) for it in found.order]
    plan = plan_of(chain.chain.edge, places, placed, fused=fused)
    before = as_written(problem)
    return OptimizedPlan(
        plan,
        tuple(places),
        settings.level,
        problem,
        found,
        costs.expected(before.order, before.at, fused=False),
        costs.expected(found.order, found.at, fused=fused),
        frozenset(it.spec.name.value for it in stops if it.fixed is None),
        costs.idle(found.order, found.at),
        costs.inside(found.order, found.at, fused=fused),
    )


def _stating(
    chain: LoadedChain, elements: Sequence[Element], places: Sequence[Place], settings: Settings, known: Known
) -> Callable[..., Problem]:
    """The problem, of which pairs are still to be decided: all, or those given."""
    names, strength = [it.name for it in elements], _STRENGTHS.get(settings.level)
    stops = at_home(chain.chain.stops, [known.asks_for_hosts(chain.methods, it) for it in names])
    asked = [known.asked(chain.methods, it) for it in names]
    stand = standing(stops, asked, places, [it.value for it in chain.chain.processors])
    return partial(
        problem_of,
        elements,
        stand.suits,
        stand.at,
        strength,
        partial(known.decide, chain.methods),
        properties=[known.properties(it) for it in elements],
        places=places,
        bound=[known.bound(chain.methods, it, strength) for it in names],
    )


def _still_legal(
    running: OptimizedPlan, elements: Sequence[Element], places: Sequence[Place], state: Callable[..., Problem]
) -> tuple[Problem, Arrangement] | None:
    """The arrangement that runs, with the problem that shows that it means the same for the elements as they are."""
    if [it.name for it in elements] != [it.name for it in running.problem.elements]:
        return None
    if [it.where for it in places] != [it.where for it in running.places]:
        return None
    arrangement = running.arrangement
    problem = state(inverted(arrangement.order))
    return (problem, arrangement) if problem.is_legal(arrangement.order, arrangement.at) else None
