"""Elements as commands are given them: a file, and where its method is to be found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import yaml

from appnet.application.kinds import BEHAVIOUR
from appnet.application.proto import load_proto
from appnet.application.uses import uses_of
from appnet.behaviour.reader import load_behaviour
from appnet.compile.fit import (
    application_notes,
    denial_notes,
    element_gaps,
    empty_notes,
    ending_notes,
    load_application,
    worker_notes,
)
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource
from appnet.diagnostics.yaml_reader import scalar_value
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language import Given, parse
from appnet.language.messages import MethodSignature


def compile_file(
    source: FileSource, proto: Path | None, method: str, parameters: Mapping[str, Given] = MappingProxyType({})
) -> tuple[Element, MethodSignature]:
    """The element, and its method: ``method`` of ``proto`` or the first one there, with ``parameters``.

    Else as the first application near it uses it, or the first case of the behaviour file beside it.
    Raises `DiagnosticError` for what is wrong with any of them, or where no method is known.
    """
    file = source.path
    if proto is not None:
        loaded = load_proto(FileSource(proto))
        signature = loaded.method(method or next(iter(loaded.methods()), ""))
        return compile_element(source, signature, parameters=parameters).element, signature
    for use in uses_of(source):
        signature, spec = use.methods()[0], use.element
        given = {**spec.parameters, **parameters}
        return compile_element(source, signature, name=spec.name.value, parameters=given).element, signature
    tried = file.parent / f"{file.stem}{BEHAVIOUR}"
    if tried.is_file():
        behaviour = load_behaviour(FileSource(tried))
        found = (it for case in behaviour.cases for it in case.elements if it.name == file.stem)
        for element in found:
            if parameters:
                return compile_element(source, behaviour.method, parameters=parameters).element, behaviour.method
            return element, behaviour.method
    parse(source)  # what is wrong with the file itself comes first
    title = "the element's method is unknown"
    help_ = "add --proto FILE --method NAME, write a behaviour file, or put it in a chain of an AppNetConfig"
    label = "no AppNetConfig nearby uses it"
    raise DiagnosticError([Diagnostic("C063", Severity.ERROR, title, Span.whole(source), label, help_)])


def notes_of(source: FileSource, proto: Path | None, method: str, target: str) -> list[Diagnostic]:
    """What proxies of several workers keep or give up on ``target``: of an element, or of those of an application.

    Of an element that cannot be compiled to it at all, why not.

    An element is taken for ``method`` of ``proto`` or the first one there, else as `compile_file` does.
    Raises `DiagnosticError` for what is wrong with any of them.
    """
    if source.path.suffix != ".appnet":
        return application_notes(load_application(source), target)
    element, signature = compile_file(source, proto, method)
    program = parse(source)
    notes = [*worker_notes(element, program, target), *ending_notes(element, signature, program, target)]
    notes += [*empty_notes(element, program, target), *denial_notes(element, program, target)]
    return element_gaps(element, signature, program, target) or notes


def given_parameters(texts: Iterable[str]) -> dict[str, Given]:
    """The parameters that options ``NAME=VALUE`` give, with values as YAML reads them.

    Raises ValueError for a text that is none.
    """
    found: dict[str, Given] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{text!r} is not NAME=VALUE, such as limit=10")
        try:
            node = yaml.compose(value, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            node = None
        read = scalar_value(node) if node is not None else None
        found[name] = Given(value if read is None else read)
    return found
