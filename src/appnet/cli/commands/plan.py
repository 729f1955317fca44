"""`appnetctl plan`: what is made of a configuration or an application, for programs."""

from __future__ import annotations

import json

import typer

from appnet.cli.errors import told_errors
from appnet.cli.options import FilesArgument, PricesOption, TargetOption
from appnet.cli.planned import (
    AlgorithmOption,
    LevelOption,
    ProfileOption,
    model_of,
    plan_json,
    planned,
)
from appnet.compile import CompileSettings
from appnet.optimize import Algorithm
from appnet.optimize.placement import OptLevel
from appnet.processors.envoy.build import Target


def command(
    files: FilesArgument,
    *,
    opt_level: LevelOption = OptLevel.STRONG,
    target: TargetOption = Target.NATIVE,
    profile: ProfileOption = None,
    prices: PricesOption = None,
    algorithm: AlgorithmOption = Algorithm.COST,
) -> None:
    """Print plans as JSON: which elements run where, in which order, at what expected cost."""
    with told_errors():
        settings = CompileSettings(opt_level, target.value, model_of(prices), algorithm=algorithm)
        typer.echo(json.dumps(plan_json(planned(files, settings, profile)), indent=2))
