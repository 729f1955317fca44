"""Diagnostics of one file, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from appnet.application.application import load_application
from appnet.application.edge import load_edge
from appnet.application.methods import told_once
from appnet.application.proto import load_proto
from appnet.application.specification import is_spec
from appnet.application.uses import Use, uses_of
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.ir.compile import compile_element
from appnet.language import Reading, read
from appnet.language.assume import check_assuming
from appnet.language.messages import MethodSignature


def check_file(file: Path, proto: Path | None = None, method: str = "", source: str | None = None) -> list[Diagnostic]:
    """Errors and warnings of the AppNetConfig, specification of an application, element or .proto in ``file``.

    An element is checked against ``method`` of ``proto``, or all its methods; without ``proto`` as the AppNetConfigs
    near it use it; where none does, without a method: its fields are taken as given. ``source`` is an element's text
    where that is not what the file holds.
    """
    try:
        if file.suffix == ".appnet":
            return _check_element(file, proto, method, source)
        if file.suffix == ".proto":
            load_proto(file)
            return []
        return list(load_application(file).warnings if is_spec(file) else load_edge(file).warnings)
    except DiagnosticError as error:
        return error.diagnostics


def _check_element(file: Path, proto: Path | None, method: str, source: str | None) -> list[Diagnostic]:
    reading = read(file, source)
    if reading.program is None:
        return reading.errors
    if proto is not None:
        loaded = load_proto(proto)
        methods = [loaded.method(name) for name in ([method] if method else loaded.methods())]
        return told_once({it.full_name: _assuming(reading, it, file) for it in methods})
    uses = uses_of(file)
    if not uses:
        return _assuming(reading, None, file)
    found: list[Diagnostic] = []
    for use in uses:
        try:
            found += told_once({it.full_name: _for(use, it, source) for it in use.methods()})
        except DiagnosticError as error:
            found += error.diagnostics
    return list(dict.fromkeys(found))


def _assuming(reading: Reading, method: MethodSignature | None, file: Path) -> list[Diagnostic]:
    """What is wrong with the element, in the order of the text; of one that cannot be read, no warnings."""
    assert reading.program is not None
    found = check_assuming(reading.program, method, name=file.stem)
    if not reading.errors:
        return found
    errors = [*reading.errors, *(it for it in found if it.severity is Severity.ERROR)]
    return sorted(errors, key=lambda it: (it.span.line, it.span.column))


def _for(use: Use, method: MethodSignature, source: str | None) -> list[Diagnostic]:
    spec = use.element
    try:
        compiled = compile_element(spec.file, method, name=spec.name.value, parameters=spec.parameters, source=source)
    except DiagnosticError as error:
        return error.diagnostics
    return list(compiled.warnings)
