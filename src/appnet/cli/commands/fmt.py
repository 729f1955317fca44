"""`appnetctl fmt`: programs in the canonical layout."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from appnet.cli.errors import FAILURE, WRONG_INPUT, open_screens, told_errors
from appnet.cli.files import STANDARD_INPUT, elements, standard_input
from appnet.cli.options import StdinFilenameOption
from appnet.cli.screen import show_diagnostics
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.diagnostics.source import FileSource, TextSource
from appnet.language.formatter import format_program
from appnet.language.parser import read_program
from appnet.system.files import write_whole

EXAMPLES = (
    "appnetctl fmt .",
    "appnetctl fmt --check --diff elements",
    "appnetctl fmt - < firewall.appnet",
)
PAGE = "tools.md"


_UNNAMED = Path("standard input")


@dataclass(frozen=True)
class Formatted:
    """A program as it is and as it should be."""

    file: Path
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the file is not in the canonical layout."""
        return self.before != self.after

    def diff(self) -> str:
        """The difference, as `patch` reads it."""
        lines = (self.before.splitlines(keepends=True), self.after.splitlines(keepends=True))
        name = self.file.as_posix().lstrip("/")
        return "".join(_with_line_ends(difflib.unified_diff(*lines, f"a/{name}", f"b/{name}")))

    def write(self) -> None:
        """Replaces the file's text. Raises OSError."""
        write_whole(self.file, self.after.encode())


def format_file(source: FileSource, *, upgrade: bool = False) -> Formatted:
    """The program, formatted; with ``upgrade`` out of the older syntax, too.

    Raises `DiagnosticError` where it is no program.
    """
    text = read_program(source)
    return Formatted(source.path, text, format_program(TextSource(source.path, text), upgrade=upgrade))


def _with_line_ends(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def command(
    files: Annotated[list[Path], typer.Argument(help="Elements (.appnet), folders of them, or - for standard input.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if a file would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Like --check, and show what would change.")] = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Also convert the older brace syntax.")] = False,
    stdin_filename: StdinFilenameOption = None,
) -> None:
    """Format elements; comments and meaning stay the same."""
    screens = open_screens()
    changed: list[Formatted] = []
    wrong: list[Diagnostic] = []
    with told_errors():
        files = elements(files)
    for file in files:
        try:
            source = standard_input(stdin_filename or _UNNAMED) if file == STANDARD_INPUT else FileSource(file)
            formatted = format_file(source, upgrade=upgrade)
        except DiagnosticError as error:
            wrong += error.diagnostics
            continue
        if file == STANDARD_INPUT and not (check or diff):
            typer.echo(formatted.after, nl=False)
        elif formatted.changed:
            changed.append(formatted)
    show_diagnostics(screens.err, wrong)
    try:
        for it in changed:
            if diff:
                typer.echo(it.diff(), nl=False)
            if not (check or diff):
                it.write()
            screens.err.print(f"{'would reformat' if check or diff else 'reformatted'} {it.file}", markup=False)
    except OSError as error:
        screens.err.print(f"error: {error}", markup=False)
        raise typer.Exit(FAILURE) from None
    raise typer.Exit(WRONG_INPUT if wrong else FAILURE if (check or diff) and changed else 0)
