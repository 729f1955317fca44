"""Diagnostics of one file, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from appnet.application.load import LoadedApplication
from appnet.application.methods import told_once
from appnet.application.proto import load_proto
from appnet.application.uses import Use, uses_of
from appnet.compile.cluster import unfit_for_clusters
from appnet.compile.fit import Where, load_application, unfit
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import stem
from appnet.ir.compile import compile_program
from appnet.language import read
from appnet.language.assume import assumed_parameters, check_assuming
from appnet.language.messages import MethodSignature
from appnet.language.syntax import Program

ANYWHERE = Where()


def check_source(
    source: Source,
    proto: Source | None = None,
    method: str = "",
    where: Where = ANYWHERE,
    also: Callable[[LoadedApplication], Iterable[Diagnostic]] = lambda _: (),
) -> list[Diagnostic]:
    """Errors and warnings of an AppNetConfig, a specification of an application, an element or a .proto.

    An application is checked against the places that it has by ``where``; what runs there and cannot be compiled for a
    cluster is warned of. ``also``: what else is wrong with one that has no error.
    An element is checked against ``method`` of ``proto``, or all its methods; without ``proto`` as the files of
    applications near it use it; where none does, without a method: its fields are taken as given.
    """
    try:
        match PurePosixPath(source.name).suffix:
            case ".appnet":
                return _check_element(source, proto, method)
            case ".proto":
                load_proto(source)
                return []
            case _:
                loaded = load_application(source)
                wrong = unfit(loaded, where)
                found = [*loaded.warnings, *(wrong or unfit_for_clusters(loaded, where))]
                return found if any(it.severity is Severity.ERROR for it in found) else [*found, *also(loaded)]
    except DiagnosticError as error:
        return error.diagnostics


def _check_element(source: Source, proto: Source | None, method: str) -> list[Diagnostic]:
    program = read(source)
    if proto is not None:
        loaded = load_proto(proto)
        methods = [loaded.method(name) for name in ([method] if method else loaded.methods())]
        return told_once({it.full_name: _for_any_parameters(program, it, stem(source)) for it in methods})
    uses = uses_of(source)
    if not uses:
        return check_assuming(program, None, name=stem(source))
    found: list[Diagnostic] = []
    for use in uses:
        try:
            found += told_once({it.full_name: _for(use, it, program) for it in use.methods()})
        except DiagnosticError as error:
            found += error.diagnostics
    return list(dict.fromkeys(found))


def _for_any_parameters(program: Program, method: MethodSignature, name: str) -> list[Diagnostic]:
    """What is told of the program, and where nothing is wrong with it, of what it compiles to."""
    found = check_assuming(program, method, name=name)
    if any(it.severity is Severity.ERROR for it in found):
        return found
    try:
        return list(compile_program(program, method, name=name, parameters=assumed_parameters(program)).warnings)
    except DiagnosticError:  # nothing tells the type of a parameter
        return found


def _for(use: Use, method: MethodSignature, program: Program) -> list[Diagnostic]:
    spec = use.element
    try:
        compiled = compile_program(program, method, name=spec.name.value, parameters=spec.parameters)
    except DiagnosticError as error:
        return error.diagnostics
    return list(compiled.warnings)
