"""Files as commands are given them: by name, or by the folders that they are in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import typer

from appnet.application.kinds import is_behaviour, is_meant, no_application
from appnet.application.uses import uses_of
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, shown_text
from appnet.diagnostics.near import either
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import MOST_BYTES, NOT_TEXT, FileSource, TextSource

STANDARD_INPUT = Path("-")
_MOST_NAMED = 3


def checkable(paths: Iterable[Path]) -> list[Path]:
    """The files that the paths name: files themselves, and what AppNet reads, or is meant to, in all folders.

    Raises ``DiagnosticError`` for a folder without any.
    """
    return _with_folders(paths, _is_ours)


def elements(paths: Iterable[Path]) -> list[Path]:
    """The files that the paths name: files themselves, and elements in all folders.

    Raises ``DiagnosticError`` for a folder without any.
    """
    return _with_folders(paths, lambda it: it.suffix == ".appnet" and it.is_file())


def standard_input(name: Path) -> TextSource:
    """What comes on standard input, in place of what the file ``name`` holds.

    Raises ``typer.BadParameter`` where it is closed, endless, or no text.
    """
    if sys.stdin is None:
        raise typer.BadParameter("standard input is closed: name a file, or send one to `-`")
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise typer.BadParameter(f"standard input is larger than {MOST_BYTES >> 20} MiB: send what people wrote")
    try:
        return TextSource(name, content.decode())
    except UnicodeDecodeError:
        raise typer.BadParameter(f"standard input is {NOT_TEXT}: send UTF-8") from None


def application_sources(command: str, files: Sequence[Path]) -> tuple[FileSource, ...]:
    """The files that say an application to ``command``.

    Raises ``DiagnosticError`` for an element or a folder, with what to type in its place.
    """
    wrong = [it for file in files if (it := _no_application(command, file)) is not None]
    if wrong:
        raise DiagnosticError(wrong)
    return tuple(map(FileSource, files))


def _no_application(command: str, file: Path) -> Diagnostic | None:
    """The error of a folder, or of a file that is no application by its name, with the applications that it is of."""
    source = FileSource(file)
    if file.is_dir():
        title, near = f"{file} is a folder, not an application", _applications_in(file)
        help_ = f"name an application's files; `appnetctl init {file}` writes one to start from"
        wrong: Diagnostic | None = Diagnostic("C014", Severity.ERROR, title, Span.whole(source), "", help_)
    else:
        wrong = no_application(source) if file.is_file() else None
        near = [] if wrong is None else _applications_with(source) or _applications_in(file.parent)
    if wrong is None or wrong.code != "C014" or not near:
        return wrong
    return replace(wrong, help=f"type {either([f'appnetctl {command} {it}' for it in near])}")


def _applications_in(folder: Path) -> list[str]:
    files = (it for it in sorted(folder.glob("*.y*ml")) if it.suffix in {".yaml", ".yml"} and _is_ours(it))
    return [str(it) for it in files if not is_behaviour(it.name)][:_MOST_NAMED]


def _applications_with(element: FileSource) -> list[str]:
    paths = dict.fromkeys(use.source.path for use in uses_of(element) if use.source.path is not None)
    return [_from_here(it) for it in paths][:_MOST_NAMED]


def _from_here(path: Path) -> str:
    """The path as it is shortest to type."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _with_folders(paths: Iterable[Path], wanted: Callable[[Path], bool]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        here = [it for it in sorted(path.rglob("*")) if wanted(it)] if path.is_dir() else [path]
        if not here:
            title, help_ = f"{path} contains no files for AppNet", "pass a folder that contains elements (.appnet)"
            raise DiagnosticError([Diagnostic("C001", Severity.ERROR, title, Span.whole(FileSource(path)), "", help_)])
        found += here
    return list(dict.fromkeys(found))


def _is_ours(file: Path) -> bool:
    if file.suffix in {".appnet", ".proto"} or is_behaviour(file.name):
        return file.is_file()
    if file.suffix not in {".yaml", ".yml"} or not file.is_file():
        return False
    return is_meant(shown_text(FileSource(file)))
