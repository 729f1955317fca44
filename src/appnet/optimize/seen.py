"""What chains did between two looks at the counts of a running application."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appnet.application.load import LoadedChain
from appnet.ir.nodes import Handler
from appnet.ir.rows import match_action_rows
from appnet.observe.points import Histogram, increase
from appnet.optimize.cost import Profile

SEEN = ("calls", "refusals", "replies", "rows")
"""The kinds of counts that matter."""
_FEWEST = 100  # RPCs that reach an element, below which the share that it ends is left open
_FEWEST_STAYS = 10
_OUTERMOST_ARM = re.compile(r"1[a-z]+")
_ASKING = ("open", "req")


@dataclass(frozen=True)
class Seen:
    """What chains did meanwhile, in ``seconds``. Counts are of RPCs: ``calls`` of those that came to a chain, by side;
    ``reached`` and ``ended`` by element, of the request's way alone. ``stays``: seconds that modules had calls in hand,
    by side, of a few of the calls."""

    chain: LoadedChain
    seconds: float
    calls: dict[str, int]
    reached: dict[str, int]
    ended: dict[str, int]
    stays: dict[str, Histogram]

    @property
    def profile(self) -> Profile:
        """Of what enough RPCs have shown."""
        shares = {name: min(1.0, self.ended.get(name, 0) / reached) for name, reached in self.sure.items()}
        stays = {side: it.quantile(0.5) * 1e6 for side, it in self.stays.items() if it.count >= _FEWEST_STAYS}
        return Profile(shares, max(self.calls.values(), default=0) / self.seconds, stays)

    @property
    def sure(self) -> dict[str, int]:
        """The elements that enough RPCs have reached."""
        return {name: count for name, count in self.reached.items() if count >= _FEWEST}


def seen(
    before: dict[str, Any],
    after: dict[str, Any],
    chains: Sequence[LoadedChain],
    modules: Mapping[str, str] | None = None,
) -> list[Seen]:
    """What each chain did between two looks at the counts (see `appnet.observe.totals_page`).

    ``modules``: the name of the artifact that each version of a chain is a version of. Where two processors stand on
    one side, each judges the same calls by a module of its own: those that one judged are the side's. Versions that
    are not named there are taken for those of one module.
    """
    seconds = max(after["time"] - before["time"], 1e-3)
    grown = {kind: list(_grown(before[kind], after[kind])) for kind in SEEN}
    return [_of_chain(it, seconds, grown, modules or {}) for it in chains]


def _of_chain(
    chain: LoadedChain, seconds: float, grown: dict[str, list[dict[str, Any]]], modules: Mapping[str, str]
) -> Seen:
    edge, methods = chain.chain.edge, {it.signature.full_name.lstrip("/") for it in chain.methods}

    def mine(kind: str) -> Iterator[dict[str, Any]]:
        for it in grown[kind]:
            if (it["client"], it["server"]) == (edge.client, edge.server) and it["method"].lstrip("/") in methods:
                yield it

    judged: dict[tuple[str, str], int] = {}
    stays: dict[str, Histogram] = {}
    for it in mine("calls"):
        side, stay = it["side"], it["stay"]
        by = side, modules.get(it["version"], "")
        judged[by] = judged.get(by, 0) + it["count"]
        if stay is not None:
            stays[side] = stays[side].plus(stay) if side in stays else stay
    calls: dict[str, int] = {}
    for (side, _), count in judged.items():
        calls[side] = max(calls.get(side, 0), count)
    ended: dict[str, int] = {}
    for it in [*mine("refusals"), *mine("replies")]:
        if it["handler"] in _ASKING:
            ended[it["element"]] = ended.get(it["element"], 0) + it["count"]
    runs = {handler: _runs(it for it in mine("rows") if it["handler"] == handler) for handler in _ASKING}
    every, reached = max(calls.values(), default=0), {}
    for name, element in chain.elements.items():
        first = next((it for it in _ASKING if _begins_with_match(element.handlers.get(it))), None)
        count = every if first is None else min(every, runs[first].get(name, 0))
        reached[name] = max(count, ended.get(name, 0))
    return Seen(chain, seconds, calls, reached, ended, stays)


def _begins_with_match(handler: Handler | None) -> bool:
    return handler is not None and any(_OUTERMOST_ARM.fullmatch(it.number) for it in match_action_rows(handler.body))


def _runs(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How often a handler ran, by element: each run takes one arm of a first match that is not inside a loop."""
    found: dict[str, int] = {}
    for it in rows:
        if _OUTERMOST_ARM.fullmatch(it["row"]):
            found[it["element"]] = found.get(it["element"], 0) + it["count"]
    return found


def _grown(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What is new in each count; all of it where somebody has begun to count anew."""

    def key(entry: dict[str, Any]) -> tuple[str, ...]:
        return tuple(value for _, value in sorted(entry.items()) if isinstance(value, str))

    known = {key(it): it for it in before}
    for it in after:
        earlier = known.get(key(it), {})
        grown = increase(earlier.get("count", 0), it["count"])
        yield {**it, "count": grown, "stay": _stayed(earlier.get("stay"), it.get("stay"))}


def _stayed(before: dict[str, Any] | None, after: dict[str, Any] | None) -> Histogram | None:
    """How long calls stayed that came meanwhile. Servers of an earlier version do not tell."""
    if after is None:
        return None
    now, then = (Histogram(it["scale"], it["first"], tuple(it["counts"]), it["sum"]) for it in (after, before or after))
    return now.plus(then, -1) if before is not None and then.count <= now.count else now
