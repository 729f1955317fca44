"""`appnetctl`: the list of its commands. Each is loaded when it is typed, so that `--help` needs none of them."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from appnet.cli.commands import version

GROUPS = {
    "Write elements": {
        "init": "Copy a sample application to start from.",
        "check": "Check files or folders and report every error.",
        "fmt": "Format elements.",
        "test": "Run the behaviour files of elements.",
        "trace": "Step RPCs through a chain, row by row.",
        "show": "Show an element as the compiler sees it.",
        "element": "Compile one element.",
        "explain-code": "Explain the code of an error, warning or note.",
    },
    "Run an application": {
        "run": "Run an application with its elements on this machine.",
        "serve": "Run only the control plane, for Envoys that you start yourself.",
        "bootstrap": "Print the bootstrap configuration of such an Envoy.",
        "listener": "Print what an Envoy with its own configuration needs.",
        "rollout": "Show, undo, promote or pause versions, of `serve` or in a cluster.",
        "reflect": "Get a running server's services by reflection.",
    },
    "Run chains in the mRPC service": {
        "attach": "Attach a chain to a running program's calls.",
        "upgrade": "Replace what an attached engine runs.",
        "detach": "Take a chain away from a program's calls.",
    },
    "Run a cluster's applications": {
        "loader": "Print what pods need to run native modules.",
        "controller": "Bring a cluster's AppNetConfigs to its proxies.",
        "apply": "Apply an application's AppNetConfigs to a cluster.",
        "get": "List a cluster's AppNetConfigs.",
        "describe": "Show all that a cluster knows about an AppNetConfig.",
        "delete": "Delete AppNetConfigs of a cluster.",
        "uninstall": "Remove AppNet from a cluster.",
    },
    "See what elements do": {
        "logs": "Show what elements record.",
        "top": "Show calls, refusals and how long calls take.",
        "traces": "Show where calls went, and what elements made of them.",
        "why": "Show why a call was refused, and run it again.",
        "state": "Look into strong state, and change it while proxies run.",
    },
    "Plan and compile an application": {
        "plan": "Print plans: what runs where, at what cost.",
        "explain": "Explain plans: what moved, and why.",
        "calibrate": "Measure the cost of RPCs on this machine.",
        "compile": "Compile an application to manifests or a Compose file.",
        "convert": "Convert an application to its other form.",
    },
    "AppNet itself": {
        "completion": "Print a script for shell completion.",
        "schema": "Print JSON Schemas for editors.",
        "lsp": "Run the language server for editors.",
        "verify": "Check the installation.",
        "version": "Print the version.",
    },
}
"""What each command does, on one line, by what people want. `appnet.cli.commands` has its module, with `_` for `-`."""

COMMANDS = {name: summary for group in GROUPS.values() for name, summary in group.items()}

_COMPLETE = "_APPNETCTL_COMPLETE"
_TRACEBACK = "APPNET_TRACEBACK"
_ISSUES = "https://github.com/appnet-org/appnet/issues"
_DOCS = "https://github.com/appnet-org/appnet/blob/main/docs/"

_SHOWN = {Path: "PATH", list[Path]: "FILE", str: "NAME", list[str]: "NAME", int: "N", float: "NUMBER"}
"""What help calls the value of a parameter, by its type, unless the parameter says it."""

READ_PROTOS = frozenset(
    ("check", "compile", "convert", "element", "explain", "lsp", "plan", "run", "serve", "show", "test", "trace")
)
"""The commands that have the option `-I`."""

_HELP = """Program the network between microservices.

Exit codes: 0 success, 1 something failed or was found wanting, 2 the input or the command line is wrong."""

_EXAMPLES = """\
  appnetctl init shop
  appnetctl run shop/sample_echo_sidecar.yaml
  appnetctl COMMAND --help
  source <(appnetctl completion bash)"""


def _write_end(command: Any, formatter: Any, page: str) -> None:
    """Writes the examples of a command, its epilog, as they are; and where more is said."""
    with formatter.section("Examples"):
        formatter.write(f"{command.epilog}\n")
    formatter.write(f"\nMore: {_DOCS}{page}\n")


class _Command(TyperCommand):
    """A command that tells in our words what its options do not take, and ends its help with examples."""

    page = ""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        del ctx
        _write_end(self, formatter, self.page)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            import_module("appnet.cli.values").reword(error, [name for it in self.params for name in it.opts])
            raise


class _Commands(TyperGroup):
    """The commands by name and summary, until one of them is typed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, short_help=summary) for name, summary in COMMANDS.items()}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands, group by group."""
        del ctx
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(list(group.items()))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        del ctx
        _write_end(self, formatter, "tools.md")

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


def _no_type(**_: object) -> str:
    return ""


def load_command(name: str) -> Any:
    """The command ``name`` with its options, ready to be called."""
    alone = _typer()
    module = import_module(f"appnet.cli.commands.{name.replace('-', '_')}")
    examples = "\n".join(f"  {it}" for it in module.EXAMPLES)
    alone.command(name, cls=_Command, context_settings=_MANNERS, epilog=examples)(module.command)
    command: Any = typer.main.get_command(alone)
    command.page = module.PAGE
    for it in command.params:
        it.metavar = it.metavar or _SHOWN.get(it.type_descriptor.annotation)
        if it.metavar and isinstance(it, TyperArgument):
            vars(it)["display_type_rich"] = _no_type  # Typer adds the type as Python has it
    if name in READ_PROTOS:
        command.params.append(import_module("appnet.cli.roots").option())
    return command


def _version(*, wanted: bool) -> None:
    if wanted:
        version.command()
        raise typer.Exit


app = _typer(cls=_Commands, no_args_is_help=True, help=_HELP, epilog=_EXAMPLES, context_settings=_MANNERS)


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version  # was answered as it was read


def main() -> None:
    """Entry point of the `appnetctl` script."""
    for it in (sys.stdout, sys.stderr):
        if isinstance(it, io.TextIOWrapper):
            it.reconfigure(errors="replace")  # a locale that knows no µ gets a question mark
    if _COMPLETE in os.environ:  # a shell asks what may come next
        import_module("typer.completion").completion_init()
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
    except Exception as error:  # a fault of AppNet's own: one line of it, not the place in our code
        if _TRACEBACK in os.environ:
            raise
        _flushed()
        what = " ".join(f"{type(error).__name__}: {error}".split())
        sys.exit(f"error: AppNet itself failed: {what}; {_TRACEBACK}=1 shows where: tell us, at {_ISSUES}")


def _flushed() -> OSError | None:
    """Writes what standard output still holds; where that fails, drops it, and says why."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where it is flushed once more at exit
        return error
    return None
