"""What of a new version some nodes may run while the others run the one before."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from appnet.application.model import Edge, Side
from appnet.compile.pipeline import Version
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.processors.artifact import Artifact
from appnet.processors.processor import Node

NO_CANARY = "C091"
"""The code of a canary that cannot be one."""


def half_changes(
    version: Version, before: Version, canaries: Collection[str], nodes: Sequence[Node]
) -> Iterator[Diagnostic]:
    """An error for each edge that ``version`` changes at both ends, unless all of its nodes are canaries or none is.

    A call between a canary and another node meets half of each version: an element that moved would judge it twice or
    not at all, and what one end encrypts, the other could not read.
    """
    for chain in version.application.application.chains:
        edge = chain.edge
        beside = {it.name for it in nodes if (it.end.client, it.end.server) == (edge.client, edge.server)}
        if not beside & set(canaries) or beside <= set(canaries):
            continue
        client, server = (_changed(_at(edge, side, version), _at(edge, side, before)) for side in Side)
        if client and server:
            told = f"on the client's side {', '.join(client)}, on the server's {', '.join(server)}"
            help_ = (
                f"save the two ends one after the other, or make all of the edge canaries: {', '.join(sorted(beside))}"
            )
            title = f"a canary cannot try a change at both ends of {edge}"
            label = f"a call between a canary and another node would meet half of each version: {told}"
            yield Diagnostic(NO_CANARY, Severity.ERROR, title, chain.methods[0].span, label, help_)


def _at(edge: Edge, side: Side, version: Version) -> list[Artifact]:
    return [it for it in version.artifacts if (it.edge, it.end.side) == (edge, side)]


def _changed(now: Sequence[Artifact], before: Sequence[Artifact]) -> list[str]:
    """What differs between what an end runs: names of elements, or of modules whose elements are the same."""
    if _editions(now) == _editions(before):
        return []
    new, old = ({one.name: one.digest for it in several for one in it.elements} for several in (now, before))
    names = sorted(it for it in new.keys() | old.keys() if new.get(it) != old.get(it))
    return names or sorted({it.stem for it in (*now, *before)})


def _editions(artifacts: Sequence[Artifact]) -> list[tuple[str, str]]:
    return [(it.name, it.edition) for it in artifacts]
