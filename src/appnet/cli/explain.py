"""`appnetctl explain` and `appnetctl plan`: what is made of a configuration, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from appnet.network.edge import load_edge
from appnet.network.placement import OptLevel
from appnet.optimize import DEFAULT, Algorithm, CostModel, OptimizedPlan, Settings, optimize
from appnet.optimize.explain import Explanation, explain
from appnet.optimize.picture import picture
from appnet.optimize.prices import load_prices
from appnet.optimize.profile import load_profile


def planned(
    file: Path, level: OptLevel, target: str, profile: Path | None, algorithm: Algorithm, prices: Path | None
) -> OptimizedPlan:
    """The plan of the AppNetConfig in ``file``. Raises `DiagnosticError`."""
    edge = load_edge(file)
    settings = Settings(level, target, model_of(prices), algorithm=algorithm)
    if profile is not None:
        settings = dataclasses.replace(settings, profile=load_profile(profile, edge.elements))
    return optimize(edge, settings)


def model_of(prices: Path | None) -> CostModel:
    """The prices in the file; those that AppNet comes with where there is none. Raises `DiagnosticError`."""
    return DEFAULT if prices is None else load_prices(prices)


def plan_json(optimized: OptimizedPlan) -> dict[str, Any]:
    """The plan for programs: its segments in request order."""
    return {
        "edge": str(optimized.plan.edge),
        "level": optimized.level.value,
        "cost_us": round(optimized.cost, 4),
        "written_cost_us": round(optimized.written_cost, 4),
        "segments": [
            {"side": it.side.value, "processor": it.processor, "elements": [spec.name.value for spec in it.elements]}
            for it in optimized.plan.segments
        ],
    }


def explanation_json(found: Explanation) -> dict[str, Any]:
    """The explanation for programs."""
    plain = dataclasses.asdict(found)
    plain["moves"] = [{"element": it.element, "before": it.before.value, "after": it.after.value} for it in found.moves]
    return plain


def explained(optimized: OptimizedPlan) -> Explanation:
    """Why the plan is as it is."""
    return explain(optimized)


def draw(optimized: OptimizedPlan, file: Path) -> None:
    """Writes the picture. Raises OSError."""
    edge = optimized.plan.edge
    file.write_text(picture(explain(optimized), edge.client, edge.server), encoding="utf-8")
