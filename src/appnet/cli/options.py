"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.application.processors import PROCESSORS
from appnet.cli.elements import given_parameters
from appnet.language import Given
from appnet.processors.envoy.build import Target


def _backend(name: str) -> str:
    if name == "envoy":
        return name
    if name in PROCESSORS:
        raise typer.BadParameter(f"{name} is not compiled for yet: {PROCESSORS[name].summary}; use envoy")
    raise typer.BadParameter(f"{name!r} is no backend; use envoy")


BackendOption = Annotated[
    str, typer.Option("--backend", "-b", parser=_backend, metavar="envoy", help="What it is compiled for.")
]
FilesArgument = Annotated[
    list[Path], typer.Argument(help="An application: its specification, or its AppNetConfigs (.yaml).")
]
TargetOption = Annotated[Target, typer.Option("--target", help="What elements are compiled to.")]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--parameter", metavar="NAME=VALUE", help="A parameter of the element's init; may be repeated."),
]
PricesOption = Annotated[
    Path | None, typer.Option("--prices", help="What RPCs cost here, as `appnetctl calibrate` wrote it.")
]


def given_by(parameters: list[str] | None) -> dict[str, Given]:
    """The parameters that a `ParameterOption` gives."""
    try:
        return given_parameters(parameters or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--parameter") from None
