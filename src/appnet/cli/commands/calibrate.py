"""`appnetctl calibrate`: prices, measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from appnet.application.model import USUAL_PROCESSOR
from appnet.cli.errors import FAILURE, check_writable, open_screens, told_errors
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.supervise import supervised
from appnet.measure.solve import CalibrationError, Effort
from appnet.optimize.cost import CostModel
from appnet.optimize.prices import plain_prices, write_prices
from appnet.processors import registry
from appnet.processors.processor import ProcessorError

EXAMPLES = (
    "appnetctl calibrate",
    "appnetctl calibrate prices.yaml --rounds 20",
)
PAGE = "optimizer.md"


async def _calibrated(effort: Effort, progress: Callable[[str], None]) -> CostModel:
    """The prices of all targets; what is between elements is as the usual processor has it."""
    usual = registry.processor(USUAL_PROCESSOR)
    model = await usual.calibrate(effort, progress)
    for it in registry.processors().values():
        if not it.targets.keys() <= model.targets.keys():
            own = await it.calibrate(effort, progress)
            targets, measured = {**model.targets, **own.targets}, f"{model.measured}; {own.measured}"
            model = replace(model, measured=measured, targets=targets)
    return model


def command(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("prices.yaml"),
    *,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often to measure each probe; more rounds average out noise.")
    ] = 8,
    output: OutputOption = Format.TEXT,
) -> None:
    """Measure the cost of RPCs on this machine, in about a minute, for --prices of plan, explain and run."""
    screens = open_screens()
    with told_errors(CalibrationError, ProcessorError):
        check_writable(file)
        with screens.err.status("") as status:
            model = asyncio.run(supervised(_calibrated(Effort(rounds), status.update)))
        if model is not None:
            write_prices(model, file)
    if model is None:
        screens.err.print("stopped")
        raise typer.Exit(FAILURE)
    if output is Format.TEXT:
        screens.out.print(f"wrote {file}", markup=False)
    else:
        print_data(plain_prices(model), output)
