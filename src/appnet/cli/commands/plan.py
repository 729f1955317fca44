"""`appnetctl plan`: what is made of a configuration or an application, for programs."""

from __future__ import annotations

import json

import typer

from appnet.cli.errors import told_errors
from appnet.cli.options import AlgorithmOption, FilesArgument, LevelOption, PricesOption, ProfileOption, TargetOption
from appnet.cli.planned import (
    plan_json,
    planned,
    where_of,
)
from appnet.compile.fit import DEFAULT_TARGET
from appnet.optimize import Algorithm, Settings
from appnet.optimize.placement import OptLevel


def command(
    files: FilesArgument,
    *,
    opt_level: LevelOption = OptLevel.STRONG,
    target: TargetOption = DEFAULT_TARGET,
    profile: ProfileOption = None,
    prices: PricesOption = None,
    opt_algorithm: AlgorithmOption = Algorithm.COST,
) -> None:
    """Print plans as JSON: which elements run where, in which order, at what expected cost."""
    with told_errors():
        settings, where = Settings(opt_level, opt_algorithm), where_of(target, prices)
        typer.echo(json.dumps(plan_json(planned(files, settings, where, profile)), indent=2))
