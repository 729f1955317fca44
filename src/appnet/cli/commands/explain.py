"""`appnetctl explain`: what is made of a configuration or an application, and why, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.cli.errors import open_screens, told_errors, writing
from appnet.cli.files import application_sources
from appnet.cli.observed import USUAL_INTERVAL, IntervalOption, ObservedOption, Traffic
from appnet.cli.options import AlgorithmOption, FilesArgument, LevelOption, PricesOption, ProfileOption, TargetOption
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.planned import application_data, planned, where_of
from appnet.cli.screen import tell
from appnet.compile.fit import DEFAULT_TARGET
from appnet.optimize import Algorithm, Settings
from appnet.optimize.explain import told_application
from appnet.optimize.picture import picture
from appnet.optimize.placement import OptLevel
from appnet.system.files import write_whole

EXAMPLES = (
    "appnetctl explain app.yaml",
    "appnetctl explain -v app.yaml --opt-level weak --svg plan.svg",
    "appnetctl explain app.yaml --observed 127.0.0.1:18002",
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
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Also explain sides and pairs: why a pair may swap, or a call that shows its order."
        ),
    ] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw the chains before and after to this file.")] = None,
) -> None:
    """Explain plans: what moved and why, what did not and why not, and the expected cost before and after."""
    out, traffic = open_screens().out, Traffic(profile, observed, interval)
    with told_errors():
        settings, where = Settings(opt_level, opt_algorithm), where_of(target, prices)
        found = planned(application_sources("explain", files), settings, where, traffic)
        if svg is not None:
            with writing(svg):
                write_whole(svg, picture(found.explanations, found.edges).encode())
    if output is not Format.TEXT:
        print_data(application_data(found), output)
    else:
        for line in told_application(found.explanations, pairs=verbose):
            tell(out, line)
        if not verbose:
            tell(out, "use -v for the reasons, pair by pair")
