"""A version brought to a cluster's proxies: to all of them, or back where one refuses."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from appnet.compile.pipeline import Version
from appnet.control.rollout import artifacts_of
from appnet.processors.processor import Acceptance, ClusterNode, NodeAnswer

ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Refused:
    """What a proxy said of a version that it refused."""

    version: str
    node: str
    error: str


async def bring(version: Version, before: Version | None, nodes: Sequence[ClusterNode]) -> Refused | None:
    """Offers a version to the nodes, and waits until they run it; one that is silent gets it when it asks again.

    Where one refuses, they are all back on ``before``, if there is that.
    """
    for it in nodes:
        offer(it, version)
    answers = await _answers(version, nodes)
    refused = next((it for it in answers if it.acceptance is Acceptance.NACKED), None)
    if refused is None:
        return None
    if before is not None:
        for it in nodes:
            offer(it, before)
        await _answers(before, nodes)
    return Refused(version.id, refused.node, refused.error)


def offer(node: ClusterNode, version: Version) -> None:
    """Makes what the version has for its place all that the node is to run."""
    node.offer(version.id, artifacts_of(node.end, node.processor, version))


async def _answers(version: Version, nodes: Sequence[ClusterNode]) -> list[NodeAnswer]:
    """Of all, or until one has refused."""
    waiting = [asyncio.create_task(it.answer(version.id, ANSWER_SECONDS)) for it in nodes]
    found: list[NodeAnswer] = []
    try:
        for it in asyncio.as_completed(waiting):
            found.append(await it)
            if found[-1].acceptance is Acceptance.NACKED:
                break
    finally:
        for task in waiting:
            task.cancel()
    return found


def canaries(nodes: Collection[ClusterNode], share: str | int) -> list[ClusterNode]:
    """As many of the proxies as ``share`` says, a number or a percentage of them, one at least, with all of their
    groups. They are the same ones next time.
    """
    ranked = sorted({it.proxy for it in nodes}, key=_rank)
    text = str(share).strip()
    number = math.ceil(len(ranked) * float(text[:-1]) / 100) if text.endswith("%") else int(text)
    chosen = set(ranked[: max(1, number)])
    return [it for it in nodes if it.proxy in chosen]


def _rank(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
