"""A version brought to nodes: to all of them, or to none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appnet.application.model import EdgeEnd
from appnet.compile.fit import Where, places_of
from appnet.compile.pipeline import Version
from appnet.ir.nodes import OUTLIVING
from appnet.optimize.placement import labels
from appnet.processors.artifact import Artifact, name_of
from appnet.processors.processor import Acceptance, Node

_ANSWER_TIMEOUT_SECONDS = 10.0


class RolloutError(Exception):
    """A node refused a version, or gave no answer in time; the version before it runs on."""


@dataclass(frozen=True)
class Rollout:
    """A version that every running node runs that it was meant for.

    ``changed`` names the artifacts that are new; ``anew`` the variables, as "ELEMENT.VARIABLE", that were there before
    and do not go on, because they have another type now or their element another place. ``accept_seconds`` went by
    until each node that got something new had accepted it, by the node's name; ``compile_seconds`` until there was a
    version to bring, where it was compiled.
    """

    version: Version
    changed: tuple[str, ...]
    anew: tuple[str, ...]
    accept_seconds: Mapping[str, float]
    compile_seconds: float = 0.0


async def roll_out(version: Version, before: Version, nodes: Sequence[Node]) -> Rollout:
    """Brings every node what it is to run of ``version``, and waits for those that get something new, or, where it is
    the version ``before`` once more, for all. One that is not running gets it when it comes.

    Raises `RolloutError` where one refuses or does not answer in time: then every node is back on ``before``.
    """
    again = version.id == before.id
    changed = (it for it in nodes if again or _digests(_of(it, version)) != _digests(_of(it, before)))
    concerned = [it for it in changed if it.running]
    for it in nodes:
        it.offer(version.id, _of(it, version))
    try:
        accepted = await accepted_by(concerned, version.id)
    except RolloutError:
        if again:
            raise
        for it in nodes:
            it.offer(before.id, _of(it, before))
        await asyncio.gather(*(it.answer(before.id, _ANSWER_TIMEOUT_SECONDS) for it in concerned))
        raise
    old = dict(_digests(before.artifacts))
    new = tuple(it.stem for it in version.artifacts if old.get(it.name) != it.edition)
    return Rollout(version, new, begins_anew(version, before), accepted)


def begins_anew(version: Version, before: Version) -> tuple[str, ...]:
    """The variables that ``before`` has, too, but whose values stay behind."""
    old, new = _kept(before), _kept(version)
    names = {name for name, *_ in old}
    return tuple(sorted({name for name, *_ in new - old if name in names}))


def _kept(version: Version) -> set[tuple[str, object, object]]:
    """Every variable that handlers change, with its type, and where it is kept."""
    return {
        (f"{element.name}.{variable.name}", variable.type, (it.edge, it.method, it.segment.place.where))
        for it in version.artifacts
        for element in it.elements
        for variable in element.state
        if variable.state_class in OUTLIVING
    }


def artifacts_of(end: EdgeEnd, processor: str, version: Version) -> tuple[Artifact, ...]:
    """What a processor at this end of an edge is to run, in request order."""
    return tuple(it for it in version.artifacts if (it.end, it.segment.place.processor) == (end, processor))


def artifact_names(end: EdgeEnd, processor: str, version: Version, where: Where) -> tuple[str, ...]:
    """The names of all artifacts that a processor at this end may be given by versions of these chains."""
    found = []
    for it in version.application.application.chains:
        places = places_of(it, where) if (it.edge.client, it.edge.server) == (end.client, end.server) else ()
        for place, words in zip(places, labels(places), strict=True):
            if (place.side, place.processor) == (end.side, processor):
                found.append(name_of(it, "-".join(words)))
    return tuple(found)


def _of(node: Node, version: Version) -> tuple[Artifact, ...]:
    return artifacts_of(node.end, node.processor, version)


async def accepted_by(nodes: Iterable[Node], version: str) -> dict[str, float]:
    """Waits until the nodes have accepted the version they were offered: after how many seconds, by node.

    Raises `RolloutError` where one refuses, or does not answer in time.
    """
    started = time.monotonic()

    async def one(node: Node) -> tuple[str, float] | None:
        answer = await node.answer(version, _ANSWER_TIMEOUT_SECONDS)
        if answer.acceptance is Acceptance.NACKED:
            raise RolloutError(f"{node.name} refused version {version}: {answer.error}")
        if answer.acceptance is Acceptance.PENDING and not node.running:
            return None  # it has gone, and gets the version when it comes back
        if answer.acceptance is not Acceptance.ACKED:
            raise RolloutError(
                f"{node.name} did not respond to version {version} within {_ANSWER_TIMEOUT_SECONDS:.0f} s"
            )
        return node.name, time.monotonic() - started

    answers = await asyncio.gather(*map(one, nodes), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return dict(answer for answer in answers if answer is not None and not isinstance(answer, BaseException))


def _digests(artifacts: Iterable[Artifact]) -> list[tuple[str, str]]:
    return [(it.name, it.edition) for it in artifacts]
