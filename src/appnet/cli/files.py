"""Files as commands are given them: by name, or by the folders that they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from appnet.application.kinds import is_behaviour, is_meant
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, shown_text
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource


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
