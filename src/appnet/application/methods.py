"""The methods whose RPCs a configuration's chains see."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from appnet.application.model import ALL_METHODS
from appnet.application.proto import ProtoFile
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Label
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Located
from appnet.language.messages import MethodSignature


def methods_of(names: Iterable[Located], proto: ProtoFile) -> tuple[MethodSignature, ...]:
    """The methods of these names, each once, in that order; `ALL_METHODS` stands for those of ``proto``.

    Raises `DiagnosticError` for names that are none, or that stand there twice.
    """
    found: dict[str, MethodSignature] = {}
    places: dict[str, Label] = {}
    wrong: list[Diagnostic] = []
    for name in names:
        try:
            named = _named(name, proto)
        except DiagnosticError as error:
            wrong += error.diagnostics
            continue
        for method in named:
            if method.full_name in found:
                title, first = f"`{method.full_name}` appears twice", places[method.full_name]
                wrong.append(_error("C022", title, name, "once is enough", "remove it", first))
            found[method.full_name] = method
            places.setdefault(method.full_name, Label(name.span, "the first is here"))
    if wrong:
        raise DiagnosticError(wrong)
    return tuple(found.values())


def _named(name: Located, proto: ProtoFile) -> list[MethodSignature]:
    if name.value != ALL_METHODS:
        return [proto.method(name.value, name.span)]
    every = [proto.method(it) for it in proto.methods()]
    if not every:
        help_ = f"declare a `service` with methods in {base_name(proto.source)}"
        raise DiagnosticError([_error("C051", f"no methods in {base_name(proto.source)}", name, "no methods", help_)])
    return every


def told_once(found: Mapping[str, Iterable[Diagnostic]]) -> list[Diagnostic]:
    """What is wrong with an element for any method, by the methods' names; what is so for some of them names them."""
    told: dict[Diagnostic, list[str]] = {}
    for method, diagnostics in found.items():
        for it in diagnostics:
            told.setdefault(it, []).append(method)
    return [
        it if len(methods) == len(found) else dataclasses.replace(it, title=f"{it.title} (for {_some(methods)})")
        for it, methods in sorted(told.items(), key=lambda told: (told[0].span.line, told[0].span.column))
    ]


def _some(names: Iterable[str]) -> str:
    first, *rest = names
    return f"{first} and {len(rest)} more" if len(rest) > 1 else " and ".join([first, *rest])


def _error(code: str, title: str, name: Located, label: str, help_: str, *places: Label) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, title, name.span, label, help_, places)
