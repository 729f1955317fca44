"""Plans that follow traffic: when a chain goes on in another order of its elements, decided from what they have ended.

It is a function of counts and of a clock, so that `run`, `serve` and the controller of a cluster decide alike.

Plans do not flap. RPCs that an element ends now, it would also end where it stood further to the front. How many others
it would end there, nobody knows: those in front of it may have ended them. So a plan is taken to let everything on that
was not seen to end, which is the most that it can cost, whatever RPCs elements have in common. The plan that runs costs
exactly what was seen. Where traffic does not change, each new plan therefore costs less than the one before by the
share that was asked for, and none comes back.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from appnet.application.limits import share_text
from appnet.application.model import Replan, ReplanMode
from appnet.compile.fit import Where, crossing, fitted
from appnet.compile.pipeline import Version
from appnet.optimize import OptimizedPlan, Planner, Profile, Settings
from appnet.optimize.seen import SEEN, Seen, seen


def enough(saving: float) -> int:
    """The calls that tell whether so much is saved.

    A share of n calls has a standard error of 0.5/√n at most: of these, a sixth of the saving.
    """
    return math.ceil((3 / saving) ** 2)


@dataclass(frozen=True)
class Better:
    """A plan that costs less for what was seen of the chain with this ``number`` in ``calls``.

    Costs are expected microseconds of CPU for an RPC: ``before`` of the plan that runs, ``cost`` of this one, at most.
    ``moved``: elements that it has in another place. While a version comes to both ends of an edge, calls could meet
    them twice or not at all, so such a plan is only shown.
    """

    version: str
    number: int
    plan: OptimizedPlan
    wanted: Replan
    calls: int
    before: float
    cost: float
    moved: tuple[str, ...] = ()

    @property
    def saving(self) -> float:
        """The share of the cost before."""
        return 1 - self.cost / self.before

    @property
    def adopted(self) -> bool:
        """Whether the chain is to go on by it."""
        return self.wanted.mode is ReplanMode.AUTO and not self.moved

    def __str__(self) -> str:
        edge = self.plan.plan.edge
        sides: dict[str, list[str]] = {}
        for it in self.plan.plan.segments:
            sides.setdefault(it.place.side.value, []).extend(one.name.value for one in it.elements)
        order = " | ".join(f"{side}: {', '.join(names)}" for side, names in sides.items())
        saved = f"saves {share_text(round(self.saving, 3))} of {self.before:.1f} µs of CPU per RPC"
        text = f"{edge} {', '.join(edge.methods)}: {order} {saved}, by {self.calls} calls"
        if self.moved:
            text += f"; it moves {', '.join(self.moved)}, which `replan` does not do while calls run"
        return text


def better(version: Version, number: int, found: Seen, settings: Settings, where: Where) -> Better | None:
    """The plan for the traffic that was ``found`` on a chain of the version, where it saves what the chain asks for.

    Elements stay in their places. Where no order saves that much, a plan that moves elements may.
    """
    chain, running = version.application.chains[number], version.plans[number]
    wanted, calls = chain.chain.replan, max(found.calls.values(), default=0)
    if wanted is None or calls < enough(wanted.saving):
        return None
    planner, places = Planner(settings, crossing(where)), fitted(version.application, where)[number]
    profile = _profile(running, found.ended, calls)
    before = planner.plan(chain, places, profile, running).cost
    for reorder in (True, False):
        plan = planner.plan(chain, places, profile, running if reorder else None, reorder=reorder)
        most = planner.plan(chain, places, _profile(plan, found.ended, calls), plan).cost
        if most <= before * (1 - wanted.saving):
            return Better(version.id, number, plan, wanted, calls, before, most, _moved(running, plan))
    return None


def _profile(plan: OptimizedPlan, ended: Mapping[str, int], calls: int) -> Profile:
    """The shares that elements end of what reaches them, if they end as many in this order as they were seen to end."""
    shares, left = {}, calls
    for name in (plan.problem.elements[it].name for it in plan.arrangement.order):
        count = min(ended.get(name, 0), left)
        shares[name] = count / left if left else 0.0
        left -= count
    return Profile(shares)


def _of_modules(counts: dict[str, Any], modules: Container[str]) -> dict[str, Any]:
    """What these versions of chains have counted: not earlier ones, which may have another order, nor an edge of the
    same name in another namespace."""
    return {
        kind: [it for it in found if it["version"] in modules] if kind in SEEN else found
        for kind, found in counts.items()
    }


def _moved(running: OptimizedPlan, plan: OptimizedPlan) -> tuple[str, ...]:
    places = zip(plan.problem.elements, running.arrangement.at, plan.arrangement.at, strict=True)
    return tuple(it.name for it, before, after in places if before != after)


@dataclass
class _Window:
    """What a chain is looked at for: since when, what had been counted then, and when it has been looked at enough."""

    counts: dict[str, Any]
    due: float


@dataclass
class Replanner:
    """Looks at the chains of an application once in an interval each, and notes in ``suggested`` which plan would save.

    ``settings`` and ``where``: as versions are compiled. A new version is looked at anew.
    """

    settings: Settings
    where: Where
    suggested: dict[int, Better] = field(default_factory=dict)
    _version: str = ""
    _windows: dict[int, _Window] = field(default_factory=dict)

    def due(self, version: Version) -> float | None:
        """When to look next, on the clock that `look` was told; None where no chain asks for it."""
        following = [number for number, it in enumerate(version.application.chains) if it.chain.replan is not None]
        if not following:
            return None
        windows = self._windows if version.id == self._version else {}
        return min(windows[it].due if it in windows else -math.inf for it in following)

    def look(self, version: Version, counts: dict[str, Any], now: float) -> list[Better]:
        """Plans that are new, of chains whose interval has passed at ``now``, in seconds of any clock.

        ``version``: what runs. ``counts``: as `appnet.observe.totals_page` has them. An interval goes on until it has
        `enough` calls.
        """
        modules = {one.version: it.name for it in version.artifacts for one in (it, *it.others)}
        counts = _of_modules(counts, modules)
        if version.id != self._version:
            self._version, self._windows, self.suggested = version.id, {}, {}
        news = []
        for number, chain in enumerate(version.application.chains):
            wanted, window = chain.chain.replan, self._windows.get(number)
            if wanted is None:
                self.suggested.pop(number, None)
                continue
            if window is None:
                self._windows[number] = _Window(counts, now + wanted.interval)
            elif window.due <= now:
                (found,) = seen(window.counts, counts, [chain], modules)
                window.due = now + wanted.interval
                if max(found.calls.values(), default=0) >= enough(wanted.saving):
                    window.counts = counts
                    news += self._noted(number, better(version, number, found, self.settings, self.where))
        return news

    def suggestions(self, version: Version | None) -> list[Better]:
        """What is suggested for the version's chains that ask for it; another thread may look meanwhile."""
        if version is None:
            return []
        found = [it for it in list(self.suggested.values()) if it.version == version.id]
        return [it for it in found if version.application.chains[it.number].chain.replan is not None]

    def _noted(self, number: int, found: Better | None) -> list[Better]:
        """The plan where it is news: the first that is shown, or one to go on by that nodes have not refused."""
        before = self.suggested.pop(number, None)
        if found is None:
            return []
        self.suggested[number] = found
        if before is None:
            return [found]
        tried = before.adopted and before.plan.arrangement == found.plan.arrangement
        return [found] if found.adopted and not tried else []


def suggested_metric(
    found: Mapping[tuple[str, ...], Iterable[Better]], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    """What plans would save that are not gone on by, for Prometheus: by the values of ``labels``."""
    told = "The share of CPU per RPC that another plan saves."
    gauge = GaugeMetricFamily("appnet_replan_saving", told, labels=[*labels, "client", "server", "method"])
    for values, plans in found.items():
        for it in plans:
            edge = it.plan.plan.edge
            gauge.add_metric([*values, edge.client, edge.server, ", ".join(edge.methods)], it.saving)
    return gauge
