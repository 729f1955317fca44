"""`appnetctl plan`: which element runs where, in which order, at what cost."""

from __future__ import annotations

import typer

from appnet.cli.errors import told_errors
from appnet.cli.files import application_sources
from appnet.cli.observed import USUAL_INTERVAL, IntervalOption, ObservedOption, Traffic
from appnet.cli.options import AlgorithmOption, FilesArgument, LevelOption, PricesOption, ProfileOption, TargetOption
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.planned import (
    plan_data,
    plan_text,
    planned,
    where_of,
)
from appnet.compile.fit import DEFAULT_TARGET
from appnet.optimize import Algorithm, Settings
from appnet.optimize.placement import OptLevel

EXAMPLES = (
    "appnetctl plan app.yaml",
    "appnetctl plan app.yaml --prices prices.yaml -o json",
)
PAGE = "optimizer.md"


def command(
    files: FilesArgument,
    *,
    opt_level: LevelOption = OptLevel.STRONG,
    target: TargetOption = DEFAULT_TARGET,
    profile: ProfileOption = None,
    observed: ObservedOption = None,
    interval: IntervalOption = USUAL_INTERVAL,
    prices: PricesOption = None,
    opt_algorithm: AlgorithmOption = Algorithm.COST,
    output: OutputOption = Format.TEXT,
) -> None:
    """Print plans: which elements run where, in which order, at what expected cost."""
    traffic = Traffic(profile, observed, interval)
    with told_errors():
        settings, where = Settings(opt_level, opt_algorithm), where_of(target, prices)
        found = planned(application_sources("plan", files), settings, where, traffic)
    if output is Format.TEXT:
        for line in plan_text(found):
            typer.echo(line)
    else:
        print_data(plan_data(found), output)
