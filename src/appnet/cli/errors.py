"""What all commands share: where they write, and how they end."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console

from appnet.cli.screen import show_diagnostics, tell
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, InternalError, Severity
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource

_REMEDIES = {
    errno.EEXIST: "choose a folder, or a path that does not exist yet",
    errno.ENOTDIR: "choose a folder, or a path that does not exist yet",
    errno.EISDIR: "choose a file in it",
    errno.ENOSPC: "free some space there, or choose another place",
    errno.EDQUOT: "free some space there, or choose another place",
}

FAILURE = 1
WRONG_INPUT = 2


@dataclass(frozen=True)
class Screens:
    """Where results go and where diagnostics and errors go."""

    out: Console
    err: Console


@contextlib.contextmanager
def told_errors(*others: type[Exception]) -> Iterator[None]:
    """Shows what goes wrong, and ends with the exit code for it. ``others``: what else can go wrong as it runs."""
    err = open_screens().err
    failures: tuple[type[Exception], ...] = (InternalError, OSError, *others)
    try:
        yield
    except DiagnosticError as error:
        show_diagnostics(err, error.diagnostics)
        raise typer.Exit(WRONG_INPUT) from None
    except BrokenPipeError:  # whoever reads the output has seen enough
        raise
    except failures as error:
        tell(err, f"error: {error}")
        raise typer.Exit(FAILURE) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `DiagnosticError` where ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        title = f"{path} cannot be written: {error.strerror}"
        help_ = _REMEDIES.get(error.errno or 0, "choose a place where you may write")
        place = Span.whole(FileSource(path))
        raise DiagnosticError([Diagnostic("C086", Severity.ERROR, title, place, "", help_)]) from error


def check_writable(file: Path) -> None:
    """Raises `DiagnosticError` where the file cannot be written; leaves what is there."""
    with writing(file):
        there = file.exists()
        file.open("a").close()
        if not there:
            file.unlink()


def check_new(file: Path, help_: str) -> None:
    """Raises `DiagnosticError` where there is such a file already: what a user may have written is never replaced."""
    if os.path.lexists(file):
        title = f"{file} already exists"
        raise DiagnosticError([Diagnostic("C086", Severity.ERROR, title, Span.whole(FileSource(file)), "", help_)])


def open_screens() -> Screens:
    """Standard output and standard error: one where both are the same terminal, so that what lives on it is kept."""
    out = _console()
    return Screens(out, out if _one_terminal() else _console(stderr=True))


def _one_terminal() -> bool:
    both = (sys.stdout, sys.stderr)
    return all(it.isatty() for it in both) and len({os.ttyname(it.fileno()) for it in both}) == 1


def _console(*, stderr: bool = False) -> Console:
    """Colours on a terminal, or where FORCE_COLOR is set; with NO_COLOR nothing but the text."""
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, soft_wrap=True, highlight=False, color_system=colours)
