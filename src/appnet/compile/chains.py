"""Chains to plans and C text. Equal chains are planned once, and printed once while someone holds the text."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from appnet.analysis import DecisionCache
from appnet.analysis.overrides import Overrides
from appnet.application.load import LoadedApplication, LoadedChain
from appnet.optimize import Algorithm, CostModel, OptimizedPlan, OptLevel, Planner, Profile, Settings
from appnet.optimize.placement import Segment
from appnet.optimize.prices import DEFAULT
from appnet.processors.build import print_segment, sidecars
from appnet.processors.envoy.build import Target

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Code:
    """The C text of a module; ``version`` follows from it. ``by_hand``: it was not printed, but written by someone."""

    text: str
    version: str
    target: Target
    by_hand: bool = False


@dataclass(frozen=True)
class CompiledChain:
    """``code``: of each segment of the plan, in the order of the plan."""

    loaded: LoadedChain
    optimized: OptimizedPlan
    code: tuple[Code, ...]

    @property
    def segments(self) -> tuple[tuple[Segment, Code], ...]:
        """Each segment with its code, in request order."""
        return tuple(zip(self.optimized.plan.segments, self.code, strict=True))


@dataclass(frozen=True)
class CompiledApplication:
    """``chains``: what was written, and what was made of it."""

    application: LoadedApplication
    chains: tuple[tuple[LoadedChain, CompiledChain], ...]


@dataclass(frozen=True)
class CompileSettings:
    """What plans are chosen by, for sidecars on both sides. ``target``: "native" or "wasm"."""

    level: OptLevel = OptLevel.STRONG
    target: str = "native"
    model: CostModel = DEFAULT
    algorithm: Algorithm = Algorithm.COST
    by_hand: Overrides | None = None

    @property
    def planning(self) -> Settings:
        """The same for the planner."""
        return Settings(self.level, self.model.crossing, self.algorithm, self.by_hand)


class ChainCompiler:
    """Plans chains, and prints their code."""

    def __init__(self, settings: CompileSettings, cache: DecisionCache | None = None) -> None:
        self._target, self._model = Target(settings.target), settings.model
        self._planner = Planner(settings.planning, cache)
        self._code: WeakValueDictionary[tuple[object, ...], Code] = WeakValueDictionary()

    def compile(self, chain: LoadedChain, profile: Profile | None = None) -> CompiledChain:
        """The plan and the code of a chain. ``profile``: what was seen of it."""
        optimized = self.plan(chain, profile)
        return CompiledChain(chain, optimized, tuple(self._print(it, chain) for it in optimized.plan.segments))

    def plan(self, chain: LoadedChain, profile: Profile | None = None) -> OptimizedPlan:
        """The plan of a chain."""
        return self._planner.plan(chain, sidecars(chain.chain, self._target, self._model), profile)

    def _print(self, segment: Segment, chain: LoadedChain) -> Code:
        names = [it.name.value for it in segment.elements]
        digests = tuple(it.elements[name].digest for it in chain.methods for name in names)
        key = (segment.name, digests, tuple(it.signature.digest for it in chain.methods))
        found = self._code.get(key)
        if found is None:
            version, text = print_segment(segment, chain, self._target)
            found = self._code[key] = Code(text, version, self._target)
        return found


def compile_application(
    application: LoadedApplication,
    settings: CompileSettings,
    cache: DecisionCache | None = None,
    profiles: Sequence[Profile] | None = None,
) -> CompiledApplication:
    """Plans and prints all chains; one that asks for a native module gets one, whatever ``settings`` say.

    ``profiles``: what was seen of each chain, in their order.
    """
    chains = []
    for chain, compiler, profile in _work(application, settings, cache, profiles):
        began = time.monotonic()
        compiled = compiler.compile(chain, profile)
        took = (time.monotonic() - began) * 1e3
        _log.debug("%s %s: planned and printed in %.1f ms", chain.chain.edge, chain.chain.method, took)
        chains.append((chain, compiled))
    return CompiledApplication(application, tuple(chains))


def plan_application(
    application: LoadedApplication,
    settings: CompileSettings,
    cache: DecisionCache | None = None,
    profiles: Sequence[Profile] | None = None,
) -> list[OptimizedPlan]:
    """The plan of each chain, as `compile_application` chooses it."""
    work = _work(application, settings, cache, profiles)
    return [compiler.plan(chain, profile) for chain, compiler, profile in work]


def _work(
    application: LoadedApplication,
    settings: CompileSettings,
    cache: DecisionCache | None,
    profiles: Sequence[Profile] | None,
) -> Iterator[tuple[LoadedChain, ChainCompiler, Profile | None]]:
    """Each chain with who compiles it, and what was seen of it."""
    compilers: dict[str, ChainCompiler] = {}
    for number, chain in enumerate(application.chains):
        target = Target.NATIVE.value if chain.chain.native else settings.target
        if target not in compilers:
            compilers[target] = ChainCompiler(replace(settings, target=target), cache)
        yield chain, compilers[target], profiles[number] if profiles is not None else None
