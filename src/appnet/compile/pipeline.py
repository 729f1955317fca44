"""The whole road in one function: an application to a version of its artifacts."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from appnet.analysis import DecisionCache
from appnet.application.load import LoadedApplication, LoadedChain
from appnet.application.model import Side
from appnet.compile.by_hand import CodeByHand
from appnet.compile.fit import Where, crossing, fitted, limited, stored, target_of, without_store
from appnet.diagnostics.diagnostic import DiagnosticError, InternalError
from appnet.ir.nodes import Element
from appnet.optimize import OptimizedPlan, Planner, Profile, Settings
from appnet.optimize.placement import OptLevel, Place, Plan
from appnet.optimize.search import Arrangement
from appnet.processors import registry
from appnet.processors.artifact import Artifact, methods_ahead, numbering_of, print_segment

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """An application as it is to run.

    ``plans``: of each chain. ``artifacts``: chain by chain, in request order. ``id`` follows from their editions.
    """

    id: str
    application: LoadedApplication
    plans: tuple[OptimizedPlan, ...]
    artifacts: tuple[Artifact, ...]


def plan_application(
    application: LoadedApplication,
    settings: Settings,
    where: Where,
    *,
    running: Version | None = None,
    profiles: Sequence[Profile] | None = None,
    cache: DecisionCache | None = None,
) -> list[OptimizedPlan]:
    """The plan of each chain.

    ``running``: what ran so far, whose plans stay where they may. ``profiles``: what was seen of each chain; by
    default as ``settings`` say. Raises `DiagnosticError` for elements that no place suits.
    """
    planner = Planner(settings, crossing(where), cache)
    places = fitted(application, where)
    found = []
    for number, chain in enumerate(application.chains):
        began = time.monotonic()
        profile = profiles[number] if profiles is not None else None
        found.append(planner.plan(chain, places[number], profile, _plan_so_far(chain, running)))
        _log.debug("%s: planned in %.1f ms", chain.chain.edge, (time.monotonic() - began) * 1e3)
    return found


Arrangements = Mapping[str, Arrangement]
"""Where the elements of chains ran, by edge and methods: what is worth keeping of plans."""


def arrangements_of(version: Version) -> Arrangements:
    """Those of its chains."""
    return {_named(it): plan.arrangement for it, plan in zip(version.application.chains, version.plans, strict=True)}


def planned_as(application: LoadedApplication, settings: Settings, where: Where, kept: Arrangements) -> Version:
    """The application by these plans, without any code, to be what ran so far; a chain of which none fits is planned
    anew. Raises `DiagnosticError` for elements that no place suits."""
    application = stored(limited(application, where.limits), where)
    plans, unproved = [], replace(settings, level=OptLevel.NO)  # whoever goes on by it asks for the proofs
    for chain, plan in zip(application.chains, plan_application(application, unproved, where), strict=True):
        found = kept.get(_named(chain))
        if found is not None and _fits(found, plan):
            plans.append(replace(plan, arrangement=found))
    return Version("", application, tuple(plans), ())


def _fits(found: Arrangement, plan: OptimizedPlan) -> bool:
    """Whether it is one of as many elements and places."""
    count, places = len(plan.problem.elements), range(len(plan.places))
    return sorted(found.order) == [*range(count)] and len(found.at) == count and all(it in places for it in found.at)


def _named(chain: LoadedChain) -> str:
    return f"{chain.chain.edge} {', '.join(chain.chain.edge.methods)}"


def _plan_so_far(chain: LoadedChain, running: Version | None) -> OptimizedPlan | None:
    plans = running.plans if running is not None else ()
    return next((it for it in plans if it.plan.edge == chain.chain.edge), None)


def compile_application(
    application: LoadedApplication,
    settings: Settings,
    where: Where,
    *,
    running: Version | None = None,
    by_hand: Path | None = None,
    profiles: Sequence[Profile] | None = None,
    cache: DecisionCache | None = None,
) -> Version:
    """Plans, prints and builds all chains; arguments as of `plan_application`.

    ``by_hand``: a folder with C files that take the place of what would be printed, by the names that it would have.
    Raises `DiagnosticError` for elements that no place suits, and for what is wrong with code by hand.
    """
    application = stored(limited(application, where.limits), where)
    if wrong := without_store(application, where):
        raise DiagnosticError(wrong)
    plans = plan_application(application, settings, where, running=running, profiles=profiles, cache=cache)
    printed = list(print_artifacts(application.chains, plans))
    written = CodeByHand(by_hand) if by_hand is not None else None
    artifacts = _built(written.in_place_of(printed) if written is not None else printed, written)
    digest = hashlib.sha256("\n".join(f"{it.name}={it.edition}" for it in artifacts).encode())
    return Version(digest.hexdigest()[:12], application, tuple(plans), artifacts)


def sides_of(version: Version, client: str, server: str, method: str) -> dict[Side, tuple[Element, ...]]:
    """The elements that calls of the method (its full name) pass on each side, in request order."""
    for chain, plan in zip(version.application.chains, version.plans, strict=True):
        edge = chain.chain.edge
        for bound in chain.methods if (edge.client, edge.server) == (client, server) else ():
            if bound.signature.full_name == method:
                placed = [(it.place.side, spec.name.value) for it in plan.plan.segments for spec in it.elements]
                return {side: tuple(bound.elements[name] for at, name in placed if at is side) for side in Side}
    return dict.fromkeys(Side, ())


def built_also(version: Version, target: str) -> Version:
    """The version whose artifacts are built for another target, too, which processors of the same kind may need.

    The caller has seen that it suits the elements.
    """
    plans = [replace(it, plan=_aimed(it.plan, target)) for it in version.plans]
    there = _built(list(print_artifacts(version.application.chains, plans)), None)
    both = zip(version.artifacts, there, strict=True)
    return replace(version, artifacts=tuple(replace(it, others=(*it.others, other)) for it, other in both))


def _aimed(plan: Plan, target: str) -> Plan:
    """The plan with code of another target in the same places."""

    def aimed(place: Place) -> Place:
        return replace(place, target=target_of(registry.processor(place.processor), target).name)

    return replace(plan, segments=tuple(replace(it, place=aimed(it.place)) for it in plan.segments))


def print_artifacts(chains: Sequence[LoadedChain], plans: Sequence[OptimizedPlan]) -> Iterator[Artifact]:
    """The artifacts of the chains by these plans, before they are built; what is equal is printed once."""
    seen: dict[tuple[object, ...], Artifact] = {}
    for chain, plan in zip(chains, plans, strict=True):
        before: list[str] = []
        for number, segment in enumerate(plan.plan.segments):
            ahead, numbers = methods_ahead(chain, before), numbering_of(chain, plan.plan, number)
            before += [it.name.value for it in segment.elements]
            elements = [it.elements[spec.name.value].digest for it in chain.methods for spec in segment.elements]
            elements += [
                it.digest for bound in chain.methods for it in bound.elements.values()
            ]  # whose secrets may come
            methods = [it.signature.digest for it in chain.methods]
            key = (segment.name, segment.place.processor, segment.place.target, ahead, numbers, *elements, *methods)
            if key not in seen:
                seen[key] = Artifact(chain, segment, print_segment(segment, chain, ahead, numbers))
            yield replace(seen[key], chain=chain, segment=segment)


def _built(artifacts: Sequence[Artifact], written: CodeByHand | None) -> tuple[Artifact, ...]:
    """With what they are built to; equal text is built once."""

    def build(artifact: Artifact) -> bytes:
        began = time.monotonic()
        place = artifact.segment.place
        processor = registry.processor(place.processor)
        try:
            binary = processor.build(artifact.code, place.target)
        except InternalError as error:
            if written is not None and artifact.code.by_hand:
                raise written.refused(artifact, error) from error
            raise
        took = time.monotonic() - began
        _log.debug("%s: %d bytes for %s in %.2f s", artifact.stem, len(binary), place.target, took)
        return binary

    def key(artifact: Artifact) -> tuple[str, str, str]:
        return artifact.segment.place.processor, artifact.segment.place.target, artifact.code.text

    distinct = {key(it): it for it in artifacts}
    with ThreadPoolExecutor() as pool:  # each waits for a compiler of its own
        built = dict(zip(distinct, pool.map(build, distinct.values()), strict=True))
    return tuple(replace(it, binary=built[key(it)]) for it in artifacts)
