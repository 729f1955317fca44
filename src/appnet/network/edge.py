"""A configuration with everything that it names, read and checked: what compilers and runners start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from appnet.ir.compile import CompiledElement, compile_element
from appnet.ir.nodes import Element
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity
from appnet.language.messages import MethodSignature
from appnet.network.config import AppNetConfig, load_config
from appnet.network.manifest import Manifest, check_services
from appnet.network.proto import ProtoFile, load_proto

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedEdge:
    """An edge of an application and the elements on it, by name; ``warnings`` are those of all elements."""

    config: AppNetConfig
    manifest: Manifest
    proto: ProtoFile
    method: MethodSignature
    elements: Mapping[str, Element]
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it was read from."""
        return tuple(dict.fromkeys((*self.config.files, *self.proto.files)))


def load_edge(path: Path) -> LoadedEdge:
    """Reads the AppNetConfig at ``path`` and all files that it names.

    Raises ``DiagnosticError`` with what is wrong in any of them; elements are looked at once their method is known.
    """
    config = load_config(path)
    wrong: list[Diagnostic] = []
    manifest = _collect(wrong, lambda: check_services(config))
    proto = _collect(wrong, lambda: load_proto(config.proto))
    method = _collect(wrong, lambda: proto.method(config.method.value, config.method.span)) if proto else None
    elements = _elements(config, method, wrong) if method else {}
    if method and (method.client_streaming or method.server_streaming):
        wrong.append(_streaming(config))
    if wrong:
        raise DiagnosticError(list(dict.fromkeys(wrong)))  # of a file that two elements share, once
    assert manifest is not None
    assert proto is not None
    assert method is not None
    warnings = dict.fromkeys(warning for it in elements.values() for warning in it.warnings)
    by_name = {name: it.element for name, it in elements.items()}
    return LoadedEdge(config, manifest, proto, method, by_name, tuple(warnings))


def _elements(config: AppNetConfig, method: MethodSignature, wrong: list[Diagnostic]) -> dict[str, CompiledElement]:
    found: dict[str, CompiledElement] = {}
    for spec in config.elements:
        try:
            name = spec.name.value
            found[name] = compile_element(spec.file, method, name=name, parameters=spec.parameters)
        except DiagnosticError as error:
            wrong += error.diagnostics
    return found


def _streaming(config: AppNetConfig) -> Diagnostic:
    name = config.method
    help_ = "name a method with one request and one response"
    return Diagnostic("C060", Severity.ERROR, f"`{name}` is a streaming method", name.span, "not judged yet", help_)


def _collect(wrong: list[Diagnostic], step: Callable[[], T]) -> T | None:
    """The step's result, or None after adding what it found to ``wrong``."""
    try:
        return step()
    except DiagnosticError as error:
        wrong += error.diagnostics
        return None
