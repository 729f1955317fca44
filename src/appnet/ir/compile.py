"""Text to match-action form in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.ir.lower import lower
from appnet.ir.nodes import Element
from appnet.language import Given, check, read
from appnet.language.messages import MethodSignature
from appnet.language.scope import Findings


@dataclass(frozen=True)
class CompiledElement:
    element: Element
    warnings: tuple[Diagnostic, ...]


def compile_element(
    path: Path,
    method: MethodSignature,
    *,
    name: str | None = None,
    parameters: Mapping[str, Given] | None = None,
    source: str | None = None,
) -> CompiledElement:
    """The element in the file at ``path`` (or in ``source``), for ``method``; ``name`` is by default the file's.

    Raises `DiagnosticError` with every error found.
    """
    reading = read(path, source)
    if reading.program is None:
        raise DiagnosticError(reading.errors)
    found = Findings(list(reading.errors))
    checked = check(reading.program, method, name=name or path.stem, parameters=parameters, found=found)
    return CompiledElement(lower(checked), checked.warnings)
