"""Elements as commands are given them: a file, and where its method is to be found."""

from __future__ import annotations

from pathlib import Path

from appnet.ir import CompiledElement, compile_element
from appnet.ir.workers import worker_notes
from appnet.language import parse
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity, Span
from appnet.language.messages import MethodSignature
from appnet.network.edge import load_edge
from appnet.network.proto import load_proto
from appnet.network.uses import uses_of


def compile_file(file: Path, proto: Path | None, method: str) -> tuple[CompiledElement, MethodSignature]:
    """The element, and its method: ``method`` of ``proto``, else that of the first AppNetConfig near it that uses it.

    Raises `DiagnosticError` for what is wrong with any of them, or where no method is known.
    """
    if proto is not None and method:
        signature = load_proto(proto).method(method)
        return compile_element(file, signature), signature
    for use in uses_of(file):
        signature, spec = use.methods()[0], use.element
        return compile_element(file, signature, name=spec.name.value, parameters=spec.parameters), signature
    title = "an element is compiled for its method, and none is known"
    help_ = "add --proto FILE --method NAME, or put it in a chain of an AppNetConfig"
    label = "no AppNetConfig near it uses it"
    raise DiagnosticError([Diagnostic("C063", Severity.ERROR, title, Span(file, 1, 1, 1, 2), label, help_)])


def notes_of(file: Path, proto: Path | None, method: str, target: str) -> list[Diagnostic]:
    """What proxies of several workers keep or give up on ``target``: of an element, or of those of an AppNetConfig.

    An element is taken for ``method`` of ``proto`` or the first one there, else as `compile_file` does.
    Raises `DiagnosticError` for what is wrong with any of them.
    """
    if file.suffix != ".appnet":
        return load_edge(file).worker_notes(target)
    name = method or (load_proto(proto).methods()[0] if proto is not None else "")
    compiled, _ = compile_file(file, proto, name)
    return worker_notes(compiled.element, parse(file), target)
