"""Diagnostics of one file, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from appnet.ir import compile_element
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity, Span
from appnet.network.config import AppNetConfig, load_config
from appnet.network.edge import load_edge
from appnet.network.proto import load_proto


def check_file(file: Path, proto: Path | None, method: str) -> list[Diagnostic]:
    """Errors and warnings of the AppNetConfig, element or .proto in ``file``.

    An element's fields are those of ``method`` in ``proto``; without them, of the first AppNetConfig beside it that
    uses it.
    """
    try:
        if file.suffix == ".appnet":
            return _check_element(file, proto, method)
        if file.suffix == ".proto":
            load_proto(file)
            return []
        return list(load_edge(file).warnings)
    except DiagnosticError as error:
        return error.diagnostics


def _check_element(file: Path, proto: Path | None, method: str) -> list[Diagnostic]:
    if proto is not None and method:
        return list(compile_element(file, load_proto(proto).method(method)).warnings)
    for config in _configurations(file.parent):
        for spec in config.elements:
            if spec.file.resolve() == file.resolve():
                signature = load_proto(config.proto).method(config.method.value, config.method.span)
                compiled = compile_element(file, signature, name=spec.name.value, parameters=spec.parameters)
                return list(compiled.warnings)
    title = "an element is checked against its method, and none is known"
    help_ = "add --proto FILE --method NAME, or check the AppNetConfig that uses it"
    return [Diagnostic("C063", Severity.ERROR, title, Span(file, 1, 1, 1, 2), "no AppNetConfig here uses it", help_)]


def _configurations(folder: Path) -> list[AppNetConfig]:
    """The valid AppNetConfigs in ``folder``."""
    found = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            found.append(load_config(path))
        except DiagnosticError:
            continue  # a manifest, or wrong, which is told when it is checked itself
    return found
