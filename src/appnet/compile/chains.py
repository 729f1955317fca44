"""Chains to plans and C text. Equal chains are planned once, and printed once while someone holds the text."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from appnet.analysis import DecisionCache
from appnet.application.load import LoadedApplication, LoadedChain
from appnet.codegen.c.build import Target
from appnet.optimize import OptimizedPlan, Profile, Settings, optimize
from appnet.optimize.placement import OptLevel, Segment, plan_of
from appnet.processors.build import print_segment

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


class ChainCompiler:
    """Plans chains, and prints their code.

    Chains are equal where their elements are the same objects, in the same order, bound to the same sides, on the same
    methods: load what is the same once, as `load` does.
    """

    def __init__(self, settings: Settings, cache: DecisionCache | None = None) -> None:
        self._settings = settings
        self._target = Target(settings.target)
        self._known = settings.known(cache)
        self._plans: dict[tuple[object, ...], tuple[LoadedChain, OptimizedPlan]] = {}
        self._code: WeakValueDictionary[tuple[object, ...], Code] = WeakValueDictionary()

    def compile(self, chain: LoadedChain, profile: Profile | None = None) -> CompiledChain:
        """The plan and the code of a chain. ``profile``: what was seen of it; by default as the settings say."""
        optimized = self.plan(chain, profile)
        return CompiledChain(chain, optimized, tuple(self._print(it, chain) for it in optimized.plan.segments))

    def plan(self, chain: LoadedChain, profile: Profile | None = None) -> OptimizedPlan:
        """The plan of a chain."""
        settings = self._settings if profile is None else replace(self._settings, profile=profile)
        stops = chain.chain.stops
        names = [it.spec.name.value for it in stops]
        refused = [settings.profile.refused.get(it) for it in names]
        ids = [id(it.elements[name]) for it in chain.methods for name in names]
        signatures = [id(it.signature) for it in chain.methods]
        key = (tuple(ids), tuple(signatures), tuple((it.fixed, it.side) for it in stops), tuple(refused))
        found = self._plans.get(key)
        if found is None:
            optimized = optimize(chain, settings, known=self._known)
            self._plans[key] = (chain, optimized)  # with the chain, so that no other object takes an element's id
            return optimized
        optimized = found[1]
        order, sides = optimized.arrangement.order, optimized.arrangement.sides
        fused = settings.level is not OptLevel.NO
        return replace(optimized, plan=plan_of(chain.chain, [(stops[it].spec, sides[it]) for it in order], fused=fused))

    def _print(self, segment: Segment, chain: LoadedChain) -> Code:
        names = [it.name.value for it in segment.elements]
        ids = tuple(id(it.elements[name]) for it in chain.methods for name in names)
        key = (segment.name, ids, tuple(id(it.signature) for it in chain.methods))
        found = self._code.get(key)
        if found is None:
            version, text = print_segment(segment, chain, self._target)
            found = self._code[key] = Code(text, version, self._target)
        return found


def compile_application(
    application: LoadedApplication,
    settings: Settings,
    cache: DecisionCache | None = None,
    profiles: Sequence[Profile] | None = None,
) -> CompiledApplication:
    """Plans and prints all chains; one that asks for a native module gets one, whatever ``settings`` say.

    ``profiles``: what was seen of each chain, in their order; by default as ``settings`` say.
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
    settings: Settings,
    cache: DecisionCache | None = None,
    profiles: Sequence[Profile] | None = None,
) -> list[OptimizedPlan]:
    """The plan of each chain, as `compile_application` chooses it."""
    work = _work(application, settings, cache, profiles)
    return [compiler.plan(chain, profile) for chain, compiler, profile in work]


def _work(
    application: LoadedApplication, settings: Settings, cache: DecisionCache | None, profiles: Sequence[Profile] | None
) -> Iterator[tuple[LoadedChain, ChainCompiler, Profile | None]]:
    """Each chain with who compiles it, and what was seen of it."""
    compilers: dict[str, ChainCompiler] = {}
    for number, chain in enumerate(application.chains):
        target = Target.NATIVE.value if chain.chain.native else settings.target
        if target not in compilers:
            compilers[target] = ChainCompiler(replace(settings, target=target), cache)
        yield chain, compilers[target], profiles[number] if profiles is not None else None
