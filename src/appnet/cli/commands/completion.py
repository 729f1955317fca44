"""`appnetctl completion`: what a shell reads so that it completes command lines."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from appnet.cli.values import completing, none_of

EXAMPLES = (
    "source <(appnetctl completion bash)    # in ~/.bashrc, or ~/.zshrc with zsh",
    "appnetctl completion fish > ~/.config/fish/completions/appnetctl.fish",
)
PAGE = "tools.md"
_SHELLS = ("bash", "zsh", "fish")


def _named(name: str) -> str:
    if name not in _SHELLS:
        raise typer.BadParameter(none_of(name, _SHELLS))
    return name


def command(
    shell: Annotated[
        str,
        typer.Argument(parser=_named, metavar="|".join(_SHELLS), autocompletion=completing(_SHELLS), help="The shell."),
    ],
) -> None:
    """Print a script that lets a shell complete commands, options, their values, and files."""
    script = import_module("typer.completion").get_completion_script
    typer.echo(script(prog_name="appnetctl", complete_var="_APPNETCTL_COMPLETE", shell=shell))
