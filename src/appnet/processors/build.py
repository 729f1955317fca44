"""A configuration to compiled segments: every file read and checked, every segment's code built."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appnet.codegen.c import ChainSource, Target, compile_module, print_chain
from appnet.ir import CompiledElement, compile_element
from appnet.language import Given
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity
from appnet.language.messages import MethodSignature
from appnet.network.config import AppNetConfig, ElementSpec, load_config
from appnet.network.manifest import check_services
from appnet.network.placement import OptLevel, Plan, Segment, Side, place
from appnet.network.proto import load_proto


@dataclass(frozen=True)
class CheckedApplication:
    """A configuration whose every file is right: what it says, and its elements in match-action form, by name."""

    config: AppNetConfig
    method: MethodSignature
    elements: Mapping[str, CompiledElement]

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What runs, but perhaps not as meant, in request order."""
        return tuple(warning for element in self.elements.values() for warning in element.warnings)


@dataclass(frozen=True)
class CompiledSegment:
    """``module`` is a shared library or wasm; ``version`` tells it from every other module."""

    segment: Segment
    module: bytes
    version: str


@dataclass(frozen=True)
class CompiledApplication:
    """``version`` is that of all segments together."""

    application: CheckedApplication
    plan: Plan
    target: Target
    segments: tuple[CompiledSegment, ...]
    version: str

    def on(self, side: Side) -> tuple[CompiledSegment, ...]:
        """The segments of one side, in request order."""
        return tuple(it for it in self.segments if it.segment.side is side)


def check_application(path: Path) -> CheckedApplication:
    """Reads and checks the configuration at ``path`` and all it names; raises `DiagnosticError` with every error."""
    config = load_config(path)
    check_services(config)
    method = load_proto(config.proto).method(config.method.value, config.method.span)
    if method.client_streaming or method.server_streaming:
        title = f"`{config.method}` is a streaming method"
        help_ = "name a method with one request and one response"
        span = config.method.span
        raise DiagnosticError([Diagnostic("C060", Severity.ERROR, title, span, "sidecars: not yet", help_)])
    elements: dict[str, CompiledElement] = {}
    errors: list[Diagnostic] = []
    for spec in config.elements:
        try:
            elements[spec.name.value] = _compile(spec, method)
        except DiagnosticError as error:
            errors += [it for it in error.diagnostics if it not in errors]
    if errors:
        raise DiagnosticError(errors)
    return CheckedApplication(config, method, elements)


def _compile(spec: ElementSpec, method: MethodSignature) -> CompiledElement:
    given = {key: Given(value, spec.parameter_spans.get(key)) for key, value in spec.parameters.items()}
    return compile_element(spec.file, method, name=spec.name.value, parameters=given)


def compile_application(path: Path, target: Target, level: OptLevel) -> CompiledApplication:
    """Checks the configuration at ``path`` and builds what runs; raises `DiagnosticError` with every error."""
    application = check_application(path)
    plan = place(application.config, level)
    segments = tuple(_build(it, application, target) for it in plan.segments)
    version = _digest(f"{it.segment.name}={it.version}" for it in segments)
    return CompiledApplication(application, plan, target, segments, version)


def _build(segment: Segment, application: CheckedApplication, target: Target) -> CompiledSegment:
    elements = tuple(application.elements[it.name.value].element for it in segment.elements)
    chain = ChainSource(segment.name, "", ((application.method, elements),))
    version = _digest([target.value, print_chain(chain)])
    source = print_chain(ChainSource(segment.name, version, chain.methods))
    return CompiledSegment(segment, compile_module(source, target), version)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
