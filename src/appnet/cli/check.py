"""Diagnostics of one file, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from appnet.ir import compile_element
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity, Span
from appnet.network.edge import load_edge
from appnet.network.proto import load_proto


def check_file(file: Path, proto: Path | None, method: str) -> list[Diagnostic]:
    """Everything wrong with ``file``; an element needs ``proto`` and ``method`` to have its fields checked."""
    try:
        if file.suffix != ".appnet":
            return list(load_edge(file).warnings)
        if proto is None or not method:
            return [_needs_method(file)]
        return list(compile_element(file, load_proto(proto).method(method)).warnings)
    except DiagnosticError as error:
        return error.diagnostics


def _needs_method(file: Path) -> Diagnostic:
    title = "an element is checked against its method"
    help_ = "add --proto FILE --method NAME, or check the AppNetConfig that uses it"
    return Diagnostic("C063", Severity.ERROR, title, Span(file, 1, 1, 1, 2), "no method known", help_)
