"""A configuration with everything that it names, read and checked: what compilers and runners start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from appnet.application.appnet_config import AppNetConfig, load_config
from appnet.application.manifest import Manifest, check_services
from appnet.application.methods import methods_of, told_once
from appnet.application.placement import Chain, chain_of
from appnet.application.proto import ProtoFile, load_proto
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.ir.compile import CompiledElement, compile_element
from appnet.ir.nodes import Element
from appnet.ir.workers import worker_notes
from appnet.language import parse
from appnet.language.messages import MethodSignature

T = TypeVar("T")


@dataclass(frozen=True)
class BoundMethod:
    """A method of an edge, and the elements on it, by name, as compiled for its messages."""

    signature: MethodSignature
    elements: Mapping[str, Element]


@dataclass(frozen=True)
class LoadedChain:
    """A chain with its elements compiled: what plans are made for. An element has one state for all ``methods``."""

    chain: Chain
    methods: tuple[BoundMethod, ...]

    @property
    def method(self) -> MethodSignature:
        """The first method."""
        return self.methods[0].signature

    @property
    def elements(self) -> Mapping[str, Element]:
        """The elements as the first method has them; for the others they differ in nothing but the messages."""
        return self.methods[0].elements

    def on(self, method: str) -> BoundMethod:
        """The method of this full name."""
        return next(it for it in self.methods if it.signature.full_name == method)


@dataclass(frozen=True)
class LoadedEdge(LoadedChain):
    """The edge of an AppNetConfig, with all that it names; ``warnings`` are those of all elements."""

    config: AppNetConfig
    manifest: Manifest
    proto: ProtoFile
    warnings: tuple[Diagnostic, ...] = ()

    def worker_notes(self, target: str) -> list[Diagnostic]:
        """What proxies of several workers keep or give up of each element on ``target``."""
        specs = self.config.elements
        return [it for spec in specs for it in worker_notes(self.elements[spec.name.value], parse(spec.file), target)]

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
    methods = (_collect(wrong, lambda: methods_of(config.methods, proto)) if proto else None) or ()
    compiled = _elements(config, methods, wrong)
    if wrong:
        raise DiagnosticError(list(dict.fromkeys(wrong)))  # of a file that two elements share, once
    assert manifest is not None
    assert proto is not None
    warnings = dict.fromkeys(warning for it in compiled.values() for one in it.values() for warning in one.warnings)
    bound = tuple(
        BoundMethod(method, {name: it[method.full_name].element for name, it in compiled.items()}) for method in methods
    )
    return LoadedEdge(chain_of(config), bound, config, manifest, proto, tuple(warnings))


def _elements(
    config: AppNetConfig, methods: Sequence[MethodSignature], wrong: list[Diagnostic]
) -> dict[str, dict[str, CompiledElement]]:
    """Each element by its name, compiled for each method by the method's."""
    found: dict[str, dict[str, CompiledElement]] = {}
    for spec in config.elements:
        errors: dict[str, list[Diagnostic]] = {}
        of_element = found[spec.name.value] = {}
        for method in methods:
            errors[method.full_name] = []
            try:
                of_element[method.full_name] = compile_element(
                    spec.file, method, name=spec.name.value, parameters=spec.parameters
                )
            except DiagnosticError as error:
                errors[method.full_name] = error.diagnostics
        wrong += told_once(errors)
    return found


def _collect(wrong: list[Diagnostic], step: Callable[[], T]) -> T | None:
    """The step's result, or None after adding what it found to ``wrong``."""
    try:
        return step()
    except DiagnosticError as error:
        wrong += error.diagnostics
        return None
