"""`appnetctl`: exit code 0 is success, 1 a failure while running, 2 wrong input or usage."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from appnet import __version__
from appnet.cli.check import check_file
from appnet.cli.run import run_once, run_until_told
from appnet.cli.verify import verify_table
from appnet.codegen.c import Target
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity
from appnet.network.placement import OptLevel

FAILURE = 1
WRONG_INPUT = 2

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)

ConfigFile = Annotated[Path, typer.Argument(help="An AppNetConfig (.yaml).")]


@app.command()
def run(
    file: ConfigFile,
    target: Annotated[Target, typer.Option(help="What elements are compiled to.")] = Target.NATIVE,
    opt_level: Annotated[
        OptLevel,
        typer.Option(help="no: a module for each element, as written. strong: one for each proxy; nobody can tell."),
    ] = OptLevel.STRONG,
    once: Annotated[bool, typer.Option("--once", help="Make two calls, verify them, show the records, end.")] = False,
) -> None:
    """Run an application with its elements on this machine; upgrade it when a file is saved."""
    runner = run_once if once else run_until_told
    try:
        succeeded = asyncio.run(runner(file, target, opt_level, _out))
    except DiagnosticError as error:
        _show(error.diagnostics)
        raise typer.Exit(WRONG_INPUT) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except Exception as error:
        _err.print(f"error: {error}", markup=False)
        raise typer.Exit(FAILURE) from None
    raise typer.Exit(0 if succeeded else FAILURE)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="AppNetConfigs (.yaml), or elements (.appnet) with --proto.")],
    proto: Annotated[Path | None, typer.Option(help="The .proto of the elements' method.")] = None,
    method: Annotated[str, typer.Option(help="The elements' method in it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each diagnostic, a line each.")] = False,
) -> None:
    """Tell everything that is wrong with configurations and elements."""
    found = [it for file in files for it in check_file(file, proto, method)]
    if as_json:
        for diagnostic in found:
            typer.echo(json.dumps(_plain(diagnostic)))
    else:
        _show(found)
    errors = sum(it.severity is Severity.ERROR for it in found)
    _err.print(f"{len(files)} files, {errors} errors, {len(found) - errors} warnings")
    raise typer.Exit(WRONG_INPUT if errors else 0)


@app.command()
def version() -> None:
    """Say which version this is."""
    typer.echo(f"appnetctl {__version__}")


@app.command()
def verify() -> None:
    """Say what is installed, what is missing for which processor, and how to get it."""
    table, complete = verify_table()
    _out.print(table)
    raise typer.Exit(0 if complete else FAILURE)


def _show(diagnostics: list[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        _err.print(diagnostic.render() + "\n", markup=False)


def _plain(diagnostic: Diagnostic) -> dict[str, object]:
    span = diagnostic.span
    place = {
        "file": str(span.file),
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
    text = {"code": diagnostic.code, "severity": diagnostic.severity.value, "title": diagnostic.title}
    return {**text, "label": diagnostic.label, "help": diagnostic.help, **place}


def main() -> None:
    """Entry point of the `appnetctl` script."""
    app()
