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
    Need.ONE_STATE: Gap("C064", "keeps one state for all workers", "give each proxy one worker, `--concurrency 1`"),
}


def title_of(need: Need, element: str, place: str) -> str:
    """What is wrong: the element needs what ``place`` does not give."""
    return f"`{element}` {GAPS[need].does}, which is not supported on {place}"


def remedy_of(need: Need) -> str:
    """The targets that give it, and what else helps."""
    compiled = compiled_to(target for _, target in registry.targets().values() if need in target.gives)
    return "; or ".join(it for it in (compiled, GAPS[need].remedy) if it)


def compiled_to(targets: Iterable[Target]) -> str:
    """The advice to take one of these targets; none where there are none."""
    others = " or ".join(f"to {it}, `--target {it}`" for it in dict.fromkeys(target.name for target in targets))
    return f"compile it {others}" if others else ""
