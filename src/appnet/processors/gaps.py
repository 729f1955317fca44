"""The one table of what is told where a place does not give what an element needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appnet.ir.needs import Need
from appnet.processors import registry
from appnet.processors.processor import Target


@dataclass(frozen=True)
class Gap:
    """``does`` is what the element does, after its name; ``remedy`` what helps but another target."""

    code: str
    does: str
    remedy: str


GAPS: Mapping[Need, Gap] = {
    Need.REPLY: Gap("C068", "replies", ""),
    Need.ROUTE: Gap("C049", "picks a host", ""),
    Need.DELAY: Gap("C049", "delays RPCs", ""),
    Need.STREAM: Gap("C087", "judges each message of a stream", "remove the streaming methods"),
    Need.PEER: Gap("C049", "asks who its caller is", ""),
    Need.METADATA: Gap("C095", "uses metadata", ""),
    Need.STATUS: Gap("C095", "names the status code of a refusal", "refuse without a code: `err('text')`"),
    Need.DEADLINE: Gap("C095", "uses deadlines", ""),
    Need.HOSTS: Gap("C095", "looks at hosts", ""),
    Need.UNION: Gap("C095", "judges messages with maps or oneofs", ""),
    Need.CHANGE_REQUEST: Gap("C095", "writes to requests", "run it on the client's side"),
    Need.CHANGE_RESPONSE: Gap("C095", "writes to or refuses responses", "run it on the server's side"),
    Need.SIZE: Gap("C095", "asks for the length of messages", ""),
    Need.SHARED_STATE: Gap("W004", "shares state between instances", "remove `@consistency`: each keeps its own"),
    Need.MERGED_STATE: Gap("W004", "merges state of its instances", "remove `@consistency`: each keeps its own"),
    Need.ONE_STATE: Gap("C064", "keeps one state for all workers", "give each proxy one worker, `--concurrency 1`"),
}


def title_of(need: Need, element: str, place: str) -> str:
    """What is wrong: the element needs what ``place`` does not give."""
    return f"`{element}` {GAPS[need].does}, which is not supported on {place}"


def remedy_of(need: Need) -> str:
    """The targets that give it where a processor stands, and what else helps."""
    there = (target for _, target in registry.targets().values() if need in target.gives and not target.inside)
    compiled = compiled_to(there)
    return "; or ".join(it for it in (compiled, GAPS[need].remedy) if it)


def compiled_to(targets: Iterable[Target]) -> str:
    """The advice to take one of these targets; none where there are none."""
    others = " or ".join(f"to {it}, `--target {it}`" for it in dict.fromkeys(target.name for target in targets))
    return f"compile it {others}" if others else ""
