"""An edge to compiled segments: for each, the code of its elements, built."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from appnet.application.load import LoadedApplication, LoadedChain, load
from appnet.application.model import Chain, Side
from appnet.application.processors import carrier
from appnet.codegen.c.printer import ChainSource, print_by_content
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.source import FileSource
from appnet.ir.needs import Need
from appnet.ir.nodes import Element
from appnet.optimize import CostModel, OptimizedPlan, Place, Planner, Settings
from appnet.optimize.placement import OptLevel, Plan, Segment
from appnet.optimize.prices import DEFAULT
from appnet.processors.envoy.build import Target, build


@dataclass(frozen=True)
class CompiledSegment:
    """``module`` is a shared library or wasm; ``version`` tells it from every other module."""

    segment: Segment
    module: bytes
    version: str


@dataclass(frozen=True)
class CompiledEdge:
    """``version`` is that of all segments together."""

    application: LoadedApplication
    optimized: OptimizedPlan
    target: Target
    segments: tuple[CompiledSegment, ...]
    version: str

    @property
    def edge(self) -> LoadedChain:
        """The chain on the edge."""
        return self.application.chains[0]

    @property
    def plan(self) -> Plan:
        """Which element runs where."""
        return self.optimized.plan

    def elements(self, method: str) -> tuple[Element, ...]:
        """All elements of the method of this full name, in request order."""
        elements = self.edge.on(method).elements
        return tuple(elements[it.name.value] for segment in self.plan.segments for it in segment.elements)

    def on(self, side: Side) -> tuple[CompiledSegment, ...]:
        """The segments of one side, in request order."""
        return tuple(it for it in self.segments if it.segment.place.side is side)


def compile_edge(
    path: Path, target: Target, level: OptLevel, running: CompiledEdge | None = None, model: CostModel = DEFAULT
) -> CompiledEdge:
    """Reads the configuration at ``path`` with all it names and builds what runs.

    ``running``: what the edge ran so far, whose plan stays where it may. ``model``: the prices it is planned by.
    Raises `DiagnosticError` with every error found.
    """
    application = load(FileSource(path))
    edge = application.chains[0]
    before = running.optimized if running is not None else None
    planner = Planner(Settings(level, model.crossing))
    optimized = planner.plan(edge, sidecars(edge.chain, target, model), running=before)
    with ThreadPoolExecutor() as pool:  # each waits for a compiler of its own
        segments = tuple(pool.map(lambda it: _build(it, edge, target), optimized.plan.segments))
    version = _digest(f"{it.segment.name}={it.version}" for it in segments)
    return CompiledEdge(application, optimized, target, segments, version)


def sidecars(chain: Chain, target: Target, model: CostModel) -> tuple[Place, ...]:
    """Where the elements of a chain can run: beside the client, and beside the server."""
    prices = model.targets[target.value]
    return tuple(Place(side, carrier(chain), target.value, frozenset(Need), prices) for side in Side)


def print_segment(segment: Segment, chain: LoadedChain, target: Target) -> tuple[str, str]:
    """The version and the C text of a segment; equal elements in equal order give equal ones.

    Raises `DiagnosticError` for elements that reply, where the target cannot send replies.
    """
    if target is Target.WASM:
        _check_replies(segment, chain)
    names = [it.name.value for it in segment.elements]
    methods = tuple((it.signature, tuple(it.elements[name] for name in names)) for it in chain.methods)
    return print_by_content(ChainSource(segment.name, "", methods), target.value)


def _check_replies(segment: Segment, chain: LoadedChain) -> None:
    help_ = "compile it to native: `--target native`; Envoy lets a wasm module answer a gRPC call with a status alone"
    wrong = [
        Diagnostic("C068", Severity.ERROR, f"`{it}` replies, which wasm cannot", it.span, "this element", help_)
        for it in (spec.name for spec in segment.elements)
        if chain.elements[it.value].req.effects.can_reply
    ]
    if wrong:
        raise DiagnosticError(wrong)


def _build(segment: Segment, edge: LoadedChain, target: Target) -> CompiledSegment:
    version, source = print_segment(segment, edge, target)
    return CompiledSegment(segment, build(source, target), version)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
