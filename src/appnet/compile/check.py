"""Diagnostics of one file, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from appnet.application.load import LoadedApplication
from appnet.application.methods import told_once
from appnet.application.proto import load_proto
from appnet.application.uses import Use, roots_near, uses_of
from appnet.compile.cluster import unfit_for_clusters
from appnet.compile.fit import Where, load_application, unfit
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import stem
from appnet.ir.compile import compile_program
from appnet.language import read
from appnet.language.assume import assumed_parameters, check_assuming
from appnet.language.messages import MethodSignature
from appnet.language.scope import Findings, Mention
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
    applications near it use it; where none does, without a method: its fields are taken as given. A .proto is given the
    roots that they give.
    """
    try:
        match PurePosixPath(source.name).suffix:
            case ".appnet":
                return check_element(source, proto, method).diagnostics
            case ".proto":
                load_proto(source, roots_near(source))
                return []
            case _:
                loaded = load_application(source, where=where)
                wrong = unfit(loaded, where)
                found = [*loaded.warnings, *(wrong or unfit_for_clusters(loaded, where))]
                return found if any(it.severity is Severity.ERROR for it in found) else [*found, *also(loaded)]
    except DiagnosticError as error:
        return error.diagnostics


@dataclass(frozen=True)
class CheckedText:
    """An element's text with all that checking it found.

    ``mentions``: what its names stand for, as the first of its uses has it. ``use``: that use, where there is one, and
    ``method`` its first method. ``program``: None where nothing of the text could be read.
    """

    diagnostics: list[Diagnostic]
    program: Program | None
    mentions: list[Mention]
    use: Use | None
    method: MethodSignature | None


def check_element(source: Source, proto: Source | None = None, method: str = "") -> CheckedText:
    """The element's text, read once and checked as `check_source` says."""
    uses, found = uses_of(source) if proto is None else [], Findings()
    program, first = None, None
    with suppress(DiagnosticError):
        first = uses[0].methods()[0] if uses else None
    try:
        program = read(source)
        if proto is not None:
            loaded = load_proto(proto)
            methods = [loaded.method(name) for name in ([method] if method else loaded.methods())]
            told = told_once({it.full_name: _for_any_parameters(program, it, stem(source)) for it in methods})
        elif uses:
            told = _for_uses(uses, program, found)
        else:
            told = check_assuming(program, None, name=stem(source), found=found)
    except DiagnosticError as error:
        told = error.diagnostics
    return CheckedText(told, program, found.mentions, uses[0] if uses else None, first)


def _for_uses(uses: Iterable[Use], program: Program, found: Findings) -> list[Diagnostic]:
    """What is told of the program in any of the uses; ``found`` takes what is found in the first."""
    told: list[Diagnostic] = []
    into: Findings | None = found
    for use in uses:
        try:
            each: dict[str, list[Diagnostic]] = {}
            for method in use.methods():
                each[method.full_name], into = _for(use, method, program, into), None
            told += told_once(each)
        except DiagnosticError as error:
            told += error.diagnostics
    return list(dict.fromkeys(told))


def _for_any_parameters(program: Program, method: MethodSignature, name: str) -> list[Diagnostic]:
    """What is told of the program, and where nothing is wrong with it, of what it compiles to."""
    found = check_assuming(program, method, name=name)
    if any(it.severity is Severity.ERROR for it in found):
        return found
    try:
        return list(compile_program(program, method, name=name, parameters=assumed_parameters(program)).warnings)
    except DiagnosticError:  # nothing tells the type of a parameter
        return found


def _for(use: Use, method: MethodSignature, program: Program, found: Findings | None) -> list[Diagnostic]:
    spec = use.element
    try:
        compiled = compile_program(program, method, name=spec.name.value, parameters=spec.parameters, found=found)
    except DiagnosticError as error:
        return error.diagnostics
    return list(compiled.warnings)
