"""Applications' edges for `benchmarks.optimised`: chains as a user would write them, traffic, and plans for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appnet.analysis import DecisionCache, Strength, decide, infer
from appnet.application.model import Side
from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.ir.compile import compile_element
from appnet.ir.needs import Need
from appnet.ir.nodes import Element
from appnet.language import Given
from appnet.measure.load import Request
from appnet.optimize.chain_cost import ChainCosts
from appnet.optimize.cost import CostModel, Profile, costs_of
from appnet.optimize.placement import OptLevel, Place
from appnet.optimize.problem import Problem, problem_of
from appnet.optimize.search import Arrangement, as_written, cheapest
from appnet.optimize.sides import bound_of
from benchmarks.dataplane import message
from benchmarks.dataplane import requests as echo_requests

SAMPLES = Path(__file__).parent.parent / "config" / "samples"
METHOD = load_proto(FileSource(SAMPLES / "echo" / "echo.proto")).method("echo")

AT = {Side.CLIENT: 0, Side.SERVER: 1}
"""The place of each side, by its number."""

Ends = dict[tuple[int | None, str], float]
"""How calls may end but well, gRPC status and message, with the share that does."""

_FAULTS, _STRANGERS = 0.1, 0.2
_ENDS: Ends = {(7, "not on the list"): _STRANGERS, (14, "fault injected"): (1 - _STRANGERS) * _FAULTS}
_PROFILE = Profile({"acl": _STRANGERS, "fault": _FAULTS})
_STRENGTHS = {OptLevel.STRONG: Strength.STRONG, OptLevel.WEAK: Strength.WEAK, OptLevel.IGNORE: None}


@dataclass(frozen=True)
class Stop:
    """An element as written on ``side``; ``bound`` says whether it has to run there."""

    element: Element
    side: Side
    bound: bool


@dataclass(frozen=True)
class Application:
    """``stops`` in request order; ``profile`` is what is known of the traffic, ``requests``."""

    name: str
    title: str
    stops: Sequence[Stop]
    requests: Sequence[Request]
    ends: Ends
    profile: Profile


@dataclass(frozen=True)
class Plan:
    """``fused``: the elements of a side share a module. ``predicted``: microseconds of CPU for an RPC."""

    arrangement: Arrangement
    fused: bool
    predicted: float


def applications() -> list[Application]:
    """The echo sample, and two edges with notes and work on messages before what refuses calls."""
    return [_echo(), _encrypted(), _early()]


def _echo() -> Application:
    stops = (
        _stop("fault", Side.CLIENT, folder="echo"),
        _stop("logging", Side.CLIENT, folder="echo"),
        _stop("metrics", Side.CLIENT, bound=False, folder="echo"),
        _stop("firewall", Side.SERVER, folder="echo"),
    )
    ends: Ends = {(10, "fault_injected"): 0.01, (10, "firewall"): 0.0099}
    return Application("echo", "echo sample", stops, echo_requests(), ends, Profile({"fault": 0.01, "firewall": 0.01}))


def _encrypted() -> Application:
    stops = (
        _stop("logging", Side.CLIENT, bound=False),
        _stop("metrics", Side.CLIENT, bound=False),
        _stop("encrypt", Side.CLIENT),
        _stop("acl", Side.CLIENT, bound=False),
        _stop("fault", Side.CLIENT, bound=False, share=_FAULTS),
        _stop("decrypt", Side.SERVER),
    )
    return Application("encrypted", "encrypted", stops, _callers(), _ENDS, _PROFILE)


def _early() -> Application:
    stops = (
        _stop("logging", Side.CLIENT, bound=False, folder="echo"),
        _stop("metrics", Side.CLIENT, bound=False),
        _stop("mutation", Side.CLIENT, bound=False),
        _stop("headers", Side.SERVER),
        _stop("acl", Side.SERVER, bound=False),
        _stop("fault", Side.SERVER, bound=False, share=_FAULTS),
    )
    return Application("early", "refused behind", stops, _callers(), _ENDS, _PROFILE)


def _callers() -> list[Request]:
    """One caller in five is on nobody's list."""
    return [Request(message(f"user-{it:04}"), metadata=(("user", "admin" if it else "eve"),)) for it in range(5)]


def _stop(name: str, side: Side, *, bound: bool = True, folder: str = "elements", **parameters: float) -> Stop:
    given = {key: Given(value) for key, value in parameters.items()}
    element = compile_element(FileSource(SAMPLES / folder / f"{name}.appnet"), METHOD, parameters=given).element
    return Stop(element, side, bound)


class Planner:
    """Plans for one application and target."""

    def __init__(self, application: Application, model: CostModel, target: str) -> None:
        self._application = application
        refused, prices = application.profile.refused, model.targets[target]
        self._places = [Place(side, "sidecar", target, frozenset(Need), prices) for side in Side]
        costs = [costs_of(it.element, [prices] * 2, refused.get(it.element.name)) for it in application.stops]
        self._costs = ChainCosts(costs, self._places, model.crossing)
        self._cache = DecisionCache()

    def problem(self, level: OptLevel) -> Problem:
        """What may be chosen at the level."""
        stops = self._application.stops
        return problem_of(
            [it.element for it in stops],
            [frozenset({AT[it.side]}) if it.bound else frozenset(AT.values()) for it in stops],
            [AT[it.side] for it in stops],
            _STRENGTHS[level],
            lambda first, second, strength: decide(first, second, METHOD, strength, cache=self._cache),
            places=self._places,
            bound=[bound_of(it.element, METHOD, infer(it.element), _STRENGTHS[level]) for it in stops],
        )

    def at(self, level: OptLevel) -> Plan:
        """What `appnetctl run` would choose."""
        if level is OptLevel.NO:
            return self._plan(as_written(self.problem(OptLevel.IGNORE)), fused=False)
        return self._plan(cheapest(self.problem(level), self._costs), fused=True)

    def spread(self, count: int) -> list[Plan]:
        """Plans from the cheapest to the dearest that keep the sides asked for, at even distances of predicted cost."""
        problem, shuffle = self.problem(OptLevel.IGNORE), random.Random(1)
        found: dict[float, Plan] = {}
        for _ in range(2000):
            order = tuple(shuffle.sample(range(len(problem.suits)), len(problem.suits)))
            at = tuple(min(it) if len(it) == 1 else shuffle.choice(sorted(it)) for it in problem.suits)
            if problem.is_legal(order, at):
                plan = self._plan(Arrangement(order, at), fused=shuffle.random() < 0.5)
                found.setdefault(round(plan.predicted, 3), plan)
        by_cost = [found[it] for it in sorted(found)]
        low, high = by_cost[0].predicted, by_cost[-1].predicted
        wanted = [low + (high - low) * step / (count - 1) for step in range(count)]
        return [min(by_cost, key=lambda it: abs(it.predicted - cost)) for cost in wanted]

    def _plan(self, arrangement: Arrangement, *, fused: bool) -> Plan:
        cost = self._costs.expected(arrangement.order, arrangement.at, fused=fused)
        return Plan(arrangement, fused, cost)
