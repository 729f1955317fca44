"""Text to match-action form in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import stem
from appnet.ir.lower import lower
from appnet.ir.nodes import Element
from appnet.ir.stages import can_end_call
from appnet.language import Given, check, read
from appnet.language.messages import MethodSignature
from appnet.language.scope import Findings
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
    program: Program,
    method: MethodSignature,
    *,
    name: str | None = None,
    parameters: Mapping[str, Given] | None = None,
    found: Findings | None = None,
) -> CompiledElement:
    """As `compile_element`, of a program that is read; ``found`` takes what the check finds."""
    checked = check(program, method, name=name or stem(program.source), parameters=parameters, found=found)
    element = lower(checked)
    return CompiledElement(element, (*checked.warnings, *_notes(element, method, program)))


def _notes(element: Element, method: MethodSignature, program: Program) -> Iterator[Diagnostic]:
    """What runs as written, but for each message of a stream, where `open` would do it once for the call."""
    unseeing = can_end_call(element.req) and not element.req.effects.reads_message
    if method.client_streaming and unseeing and element.open is None:
        title = f"`{element.name}` decides at every message of a stream, but reads none of them"
        help_ = "decide in `open(rpc):`, once for the call and before its first message"
        yield Diagnostic("N004", Severity.NOTE, title, program.req.span, "this runs for each message", help_)
