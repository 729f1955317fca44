"""Diagnostics of one file, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from appnet.cli.elements import compile_file
from appnet.language.diagnostics import Diagnostic, DiagnosticError
from appnet.network.edge import load_edge
from appnet.network.proto import load_proto


def check_file(file: Path, proto: Path | None, method: str) -> list[Diagnostic]:
    """Errors and warnings of the AppNetConfig, element or .proto in ``file``.

    An element's fields are those of ``method`` in ``proto``; without them, of the first AppNetConfig beside it that
    uses it.
    """
    try:
        if file.suffix == ".appnet":
            return list(compile_file(file, proto, method)[0].warnings)
        if file.suffix == ".proto":
            load_proto(file)
            return []
        return list(load_edge(file).warnings)
    except DiagnosticError as error:
        return error.diagnostics
