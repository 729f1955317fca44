"""`appnetctl test`: behaviour files, tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.behaviour.run import targets as all_targets
from appnet.cli.behaviour import behaviour_files, load_all, try_all
from appnet.cli.errors import FAILURE, open_screens, told_errors
from appnet.cli.values import none_of


def command(
    files: Annotated[list[Path] | None, typer.Argument(help="Behaviour files, elements or folders of them.")] = None,
    *,
    target: Annotated[str, typer.Option(help="`interpreter`, a target of compiled elements, or `all`.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per case and target.")] = False,
) -> None:
    """Run the behaviour files of elements, interpreted and compiled."""
    every = all_targets()
    if target not in {"all", *every}:
        raise typer.BadParameter(none_of(target, [*every, "all"]), param_hint="--target")
    with told_errors():
        behaviours = load_all(behaviour_files(files or [Path()]))
    targets = every if target == "all" else [target]
    good = try_all(behaviours, targets, open_screens().out, as_json=as_json)
    raise typer.Exit(0 if good else FAILURE)
