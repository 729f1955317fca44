"""What is made of a configuration or an application: `appnetctl explain` and `appnetctl plan`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appnet.application.model import USUAL_LIMITS, Limits
from appnet.cli.observed import Traffic
from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import plan_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import OptimizedPlan, Profile, Settings
from appnet.optimize.explain import (
    Explanation,
    Total,
    explain,
    explanation_json,
    segment_json,
    stays_json,
    told_stays,
    total,
)
from appnet.optimize.prices import load_prices


@dataclass(frozen=True)
class Planned:
    """The plans of an application's chains, each with what was seen of the chain.

    ``edges``: client and server of each edge of the application's graph.
    """

    application: str
    edges: tuple[tuple[str, str], ...]
    plans: tuple[tuple[OptimizedPlan, Profile], ...]

    @property
    def explanations(self) -> list[Explanation]:
        """Why each is as it is."""
        return [explain(*it) for it in self.plans]


def planned(files: Sequence[FileSource], settings: Settings, where: Where, traffic: Traffic) -> Planned:
    """The plans for the application that the files say. Raises `DiagnosticError`."""
    loaded = load_application(*files, where=where)
    seen = traffic.profiles(loaded.chains)
    plans = plan_application(loaded, settings, where, profiles=seen)
    edges = tuple((client.value, server.value) for client, server in loaded.application.edges)
    return Planned(loaded.application.name, edges, tuple(zip(plans, seen, strict=True)))


def where_of(
    target: str,
    prices: Path | None,
    *,
    workers: int = 1,
    cluster: bool = False,
    limits: Limits = USUAL_LIMITS,
    gateway: bool = True,
) -> Where:
    """What is compiled for, as `Where` has it; by the prices in the file, if any. Raises `DiagnosticError`."""
    measured = load_prices(FileSource(prices), [target]) if prices is not None else None
    return Where(target, workers, cluster, measured, limits, gateway=gateway)


def plan_data(found: Planned) -> dict[str, Any]:
    """The plans as data: of each chain, its segments in request order."""
    chains = [
        {
            "edge": str(optimized.plan.edge),
            "methods": list(optimized.plan.edge.methods),
            **_costs(total([explain(optimized, profile)])),
            "segments": [segment_json(it) for it in optimized.plan.segments],
            "stays": stays_json(explain(optimized, profile)),
        }
        for optimized, profile in found.plans
    ]
    return {"application": found.application, **_costs(total(found.explanations)), "chains": chains}


def application_data(found: Planned) -> dict[str, Any]:
    """The explanations as data."""
    return {"application": found.application, "chains": [explanation_json(it) for it in found.explanations]}


def plan_text(found: Planned) -> Iterator[str]:
    """The plans as lines: of each chain, its segments in request order, and what an RPC costs."""
    for optimized, profile in found.plans:
        edge = optimized.plan.edge
        yield f"{edge} {', '.join(edge.methods)}: {optimized.cost:.2f} µs of CPU for an RPC"
        yield from (f"  {line}" for line in told_stays(explain(optimized, profile)))
        for it in optimized.plan.segments:
            place = f"{it.place.side.value}, {it.place.processor}, {it.place.target}"
            yield f"  {place}: {' + '.join(element.name.value for element in it.elements)}"


def _costs(sums: Total) -> dict[str, float]:
    named = {
        "written_cost_us": sums.written_cost,
        "cost_us": sums.cost,
        "written_cores": sums.written_cores,
        "cores": sums.cores,
    }
    return {name: round(it, 4) for name, it in named.items() if it is not None}
