"""`appnetctl test`: behaviour files, tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.behaviour.run import run_behaviour
from appnet.behaviour.run import targets as all_targets
from appnet.cli.behaviour import behaviour_files, load_all, plain_result, show_results
from appnet.cli.errors import FAILURE, open_screens, told_errors
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.values import completing, none_of

EXAMPLES = (
    "appnetctl test",
    "appnetctl test firewall.appnet --target wasm",
    "appnetctl test . -o json",
)
PAGE = "behaviour.md"


def command(
    files: Annotated[list[Path] | None, typer.Argument(help="Behaviour files, elements or folders of them.")] = None,
    *,
    target: Annotated[
        str,
        typer.Option(
            autocompletion=completing([*all_targets(), "all"]),
            help="`interpreter`, a target of compiled elements, or `all`.",
        ),
    ] = "all",
    output: OutputOption = Format.TEXT,
) -> None:
    """Run the behaviour files of elements, interpreted and compiled."""
    every = all_targets()
    if target not in {"all", *every}:
        raise typer.BadParameter(none_of(target, [*every, "all"]), param_hint="--target")
    with told_errors():
        behaviours = load_all(behaviour_files(files or [Path()]))
    targets = every if target == "all" else [target]
    results = (it for behaviour in behaviours for it in run_behaviour(behaviour, targets))
    if output is Format.TEXT:
        good = show_results(results, behaviours, targets, open_screens().out)
    else:
        tried = list(results)
        print_data([plain_result(it) for it in tried], output)
        good = not any(it.failures for it in tried)
    raise typer.Exit(0 if good else FAILURE)
