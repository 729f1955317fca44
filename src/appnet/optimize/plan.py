"""The plan of an edge that costs least among those that mean the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from appnet.analysis import DecisionCache, Strength
from appnet.analysis.overrides import Overrides
from appnet.application.load import LoadedChain
from appnet.ir.nodes import Element
from appnet.optimize.cost import CostModel, Costs, Profile, expected_cost
from appnet.optimize.known import Known
from appnet.optimize.placement import OptLevel, Plan, place, plan_of
from appnet.optimize.prices import DEFAULT
from appnet.optimize.problem import Problem, problem_of
from appnet.optimize.search import Arrangement, as_written, by_rules, cheapest, inverted

_STRENGTHS = {OptLevel.STRONG: Strength.STRONG, OptLevel.WEAK: Strength.WEAK, OptLevel.IGNORE: None}


class Algorithm(Enum):
    """How an arrangement is chosen among the legal ones."""

    COST = "cost"
    """The least expected cost, exactly."""
    HEURISTICS = "heuristics"
    """The public AppNet's rules of thumb."""


_SEARCHES: Mapping[Algorithm, Callable[[Problem, Sequence[Costs], CostModel, str], Arrangement]] = {
    Algorithm.COST: cheapest,
    Algorithm.HEURISTICS: by_rules,
}


@dataclass(frozen=True)
class OptimizedPlan:
    """``plan`` is what runs. Costs are expected microseconds of CPU for an RPC.

    ``written_cost``: in the order as written, a module for each element. ``problem`` and ``arrangement`` say what
    could be chosen, and what was.
    """

    plan: Plan
    level: OptLevel
    problem: Problem
    arrangement: Arrangement
    written_cost: float
    cost: float


@dataclass(frozen=True)
class Settings:
    """What plans are chosen by.

    ``target``: "native" or "wasm". ``profile``: what was seen of the chain. ``by_hand``: properties that replace
    inferred ones.
    """

    level: OptLevel = OptLevel.STRONG
    target: str = "native"
    model: CostModel = DEFAULT
    profile: Profile = field(default_factory=Profile)
    algorithm: Algorithm = Algorithm.COST
    by_hand: Overrides | None = None

    def known(self, cache: DecisionCache | None = None) -> Known:
        """Nothing yet: what is found out for one chain is then there for the next."""
        return Known(self.model, self.target, cache, self.by_hand)


def optimize(
    edge: LoadedChain,
    settings: Settings,
    cache: DecisionCache | None = None,
    running: OptimizedPlan | None = None,
    known: Known | None = None,
) -> OptimizedPlan:
    """The plan for the edge. Decisions about pairs are kept in ``cache``, by default the user's.

    ``running``: the plan that an edited edge ran by so far; where it is still legal it stays, so that an upgrade waits
    for no other proofs than those that show this. ``known``: what was found out for other chains with these settings,
    `Settings.known`, for whatever profiles.
    """
    known = known if known is not None else settings.known(cache)
    written = edge.chain.stops
    elements = [edge.elements[it.spec.name.value] for it in written]
    state = partial(
        problem_of,
        elements,
        [it.fixed for it in written],
        [it.side for it in written],
        _STRENGTHS.get(settings.level),
        partial(known.decide, edge.methods),
        properties=[known.properties(it) for it in elements],
    )
    costs = [known.costs(it, settings.profile) for it in elements]
    model, target = settings.model, settings.target
    sides = [it.side for it in written]
    unfused = expected_cost(costs, range(len(costs)), sides, model, target, fused=False)
    if settings.level is OptLevel.NO:
        problem = state()
        return OptimizedPlan(
            place(edge.chain, settings.level), settings.level, problem, as_written(problem), unfused, unfused
        )
    kept = _still_legal(running, elements, state) if running is not None else None
    if kept is not None:
        problem, found = kept
    else:
        problem = state()
        found = _SEARCHES[settings.algorithm](problem, costs, model, target)
    plan = plan_of(edge.chain, [(written[it].spec, found.sides[it]) for it in found.order], fused=True)
    cost = expected_cost(costs, found.order, found.sides, model, target)
    return OptimizedPlan(plan, settings.level, problem, found, unfused, cost)


def _still_legal(
    running: OptimizedPlan, elements: Sequence[Element], state: Callable[..., Problem]
) -> tuple[Problem, Arrangement] | None:
    """The arrangement that runs, with the problem that shows that it means the same for the elements as they are."""
    if [it.name for it in elements] != [it.name for it in running.problem.elements]:
        return None
    arrangement = running.arrangement
    problem = state(inverted(arrangement.order))
    return (problem, arrangement) if problem.is_legal(arrangement.order, arrangement.sides) else None
