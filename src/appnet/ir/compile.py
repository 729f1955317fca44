"""Text to match-action form in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import stem
from appnet.ir.lower import lower
from appnet.ir.nodes import Element
from appnet.language import Given, check, read
from appnet.language.messages import MethodSignature
from appnet.language.syntax import Program


@dataclass(frozen=True)
class CompiledElement:
    element: Element
    warnings: tuple[Diagnostic, ...]


def compile_element(
    source: Source,
    method: MethodSignature,
    *,
    name: str | None = None,
    parameters: Mapping[str, Given] | None = None,
) -> CompiledElement:
    """The element in ``source``, for ``method``; ``name`` is by default the source's.

    Raises `DiagnosticError` with every error found.
    """
    return compile_program(read(source), method, name=name, parameters=parameters)


def compile_program(
    program: Program, method: MethodSignature, *, name: str | None = None, parameters: Mapping[str, Given] | None = None
) -> CompiledElement:
    """As `compile_element`, of a program that is read."""
    checked = check(program, method, name=name or stem(program.source), parameters=parameters)
    return CompiledElement(lower(checked), checked.warnings)
