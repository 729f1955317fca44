"""`appnetctl`: the list of its commands. Each is loaded when it is typed, so that `--help` needs none of them."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from appnet.cli.commands import version

COMMANDS = {
    "init": "Copy a sample application to start from.",
    "run": "Run an application with its elements on this machine.",
    "serve": "Serve as the control plane for proxies that you start yourself.",
    "bootstrap": "Print the bootstrap of such a proxy.",
    "reflect": "Ask a running server for its services.",
    "check": "Tell everything that is wrong with files or folders.",
    "fmt": "Rewrite elements in the canonical layout.",
    "test": "Try elements on the RPCs of their behaviour files.",
    "trace": "Step a chain through RPCs, row by row.",
    "show": "Show an element as the compiler sees it.",
    "element": "Compile one element.",
    "compile": "Compile an application for Kubernetes or Compose.",
    "convert": "Write an application in its other form.",
    "plan": "Print plans as JSON.",
    "explain": "Explain plans: what was moved, and why.",
    "explain-code": "Explain the code of a diagnostic.",
    "calibrate": "Measure what RPCs cost on this machine.",
    "schema": "Print JSON Schemas, for editors.",
    "lsp": "Serve editors.",
    "verify": "Say what is installed, and what is missing.",
    "version": "Say which version this is.",
}
"""What each command does, on one line. Its module in `appnet.cli.commands` has the name, with `_` for `-`."""

READ_PROTOS = frozenset(
    ("check", "compile", "convert", "element", "explain", "lsp", "plan", "run", "serve", "show", "test", "trace")
)
"""The commands that have the option `-I`."""

_HELP = """Program the network between microservices.

Exit codes: 0 success, 1 something failed while it ran, 2 the input or the command line is wrong."""


class _Command(TyperCommand):
    """A command that tells in our words what its options do not take."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            import_module("appnet.cli.values").reword(error)
            raise


class _Commands(TyperGroup):
    """The commands by name and summary, until one of them is typed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, short_help=summary) for name, summary in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else None, rest


_MANNERS = {
    "token_normalize_func": lambda name: name.replace("_", "-"),  # the public compiler has `_` for `-`
    "help_option_names": ["-h", "--help"],
}


def _typer(**settings: Any) -> typer.Typer:
    """With the manners of all commands. Help is plain text: what draws boxes takes longer to load than all else."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **settings)


def load_command(name: str) -> Any:
    """The command ``name`` with its options, ready to be called."""
    alone = _typer()
    module = import_module(f"appnet.cli.commands.{name.replace('-', '_')}")
    alone.command(name, cls=_Command, context_settings=_MANNERS)(module.command)
    command: Any = typer.main.get_command(alone)
    if name in READ_PROTOS:
        command.params.append(import_module("appnet.cli.roots").option())
    return command


def _version(*, wanted: bool) -> None:
    if wanted:
        version.command()
        raise typer.Exit


app = _typer(cls=_Commands, no_args_is_help=True, help=_HELP, context_settings=_MANNERS)


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is, and exit.")
    ] = False,
) -> None:
    del version  # was answered as it was read


def main() -> None:
    """Entry point of the `appnetctl` script."""
    for it in (sys.stdout, sys.stderr):
        if isinstance(it, io.TextIOWrapper):
            it.reconfigure(errors="replace")  # a locale that knows no µ gets a question mark
    try:
        app()
    except OSError as error:  # such as a full disk behind standard output
        _flushed()
        sys.exit(f"error: {error}")
    except SystemExit as ended:
        failed = _flushed()
        if failed is not None and not ended.code:
            sys.exit(1 if isinstance(failed, BrokenPipeError) else f"error: {failed}")
        raise


def _flushed() -> OSError | None:
    """Writes what standard output still holds; where that fails, drops it, and says why."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where it is flushed once more at exit
        return error
    return None
