"""Elements as commands are given them: a file, and where its method is to be found."""

from __future__ import annotations

from pathlib import Path

from appnet.ir import CompiledElement, compile_element
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity, Span
from appnet.language.messages import MethodSignature
from appnet.network.config import AppNetConfig, load_config
from appnet.network.proto import load_proto


def compile_file(file: Path, proto: Path | None, method: str) -> tuple[CompiledElement, MethodSignature]:
    """The element, and its method: ``method`` of ``proto``, else that of the first AppNetConfig beside it that uses it.

    Raises `DiagnosticError` for what is wrong with any of them, or where no method is known.
    """
    if proto is not None and method:
        signature = load_proto(proto).method(method)
        return compile_element(file, signature), signature
    for config in _configurations(file.parent):
        for spec in config.elements:
            if spec.file.resolve() == file.resolve():
                signature = load_proto(config.proto).method(config.method.value, config.method.span)
                return compile_element(file, signature, name=spec.name.value, parameters=spec.parameters), signature
    title = "an element is checked against its method, and none is known"
    help_ = "add --proto FILE --method NAME, or check the AppNetConfig that uses it"
    label = "no AppNetConfig here uses it"
    raise DiagnosticError([Diagnostic("C063", Severity.ERROR, title, Span(file, 1, 1, 1, 2), label, help_)])


def _configurations(folder: Path) -> list[AppNetConfig]:
    """The valid AppNetConfigs in ``folder``."""
    found = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            found.append(load_config(path))
        except DiagnosticError:
            continue  # a manifest, or wrong, which is told when it is checked itself
    return found
