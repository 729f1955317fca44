"""What all commands share: where they write, how they end, and the backends that they know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from appnet.application.processors import PROCESSORS
from appnet.cli.run import Screens
from appnet.cli.screen import show_diagnostics
from appnet.deploy.local.machine import RolloutError
from appnet.deploy.local.program import ApplicationError
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, InternalError, Severity, Span
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.calibrate.calibrate import CalibrationError
from appnet.processors.envoy.proxy.process import EnvoyError

FAILURE = 1
WRONG_INPUT = 2


@contextlib.contextmanager
def told_errors() -> Iterator[None]:
    """Shows what goes wrong, and ends with the exit code for it."""
    err = open_screens().err
    try:
        yield
    except DiagnosticError as error:
        show_diagnostics(err, error.diagnostics)
        raise typer.Exit(WRONG_INPUT) from None
    except (ApplicationError, CalibrationError, EnvoyError, RolloutError, InternalError, OSError) as error:
        err.print(f"error: {error}", markup=False)
        raise typer.Exit(FAILURE) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `DiagnosticError` where ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        title, help_ = f"{path} cannot be written: {error.strerror}", "name a place where you may write"
        place = Span.whole(FileSource(path))
        raise DiagnosticError([Diagnostic("C086", Severity.ERROR, title, place, "", help_)]) from error


def check_writable(file: Path) -> None:
    """Raises `DiagnosticError` where the file cannot be written; leaves what is there."""
    with writing(file):
        there = file.exists()
        file.open("a").close()
        if not there:
            file.unlink()


def open_screens() -> Screens:
    """Standard output and standard error."""
    return Screens(Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False))


def _backend(name: str) -> str:
    if name == "envoy":
        return name
    if name in PROCESSORS:
        raise typer.BadParameter(f"{name} is not compiled for yet: {PROCESSORS[name].summary}; use envoy")
    raise typer.BadParameter(f"{name!r} is no backend; use envoy")


BackendOption = Annotated[
    str, typer.Option("--backend", "-b", parser=_backend, metavar="envoy", help="What it is compiled for.")
]
