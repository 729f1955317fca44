"""What chains did lately, edge by edge: differences between looks at what they have counted."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from appnet.dashboard.running import EdgeKey
from appnet.observe.points import (
    CALLS,
    CLIENT,
    DURATIONS,
    ELEMENT,
    ENTRIES,
    EVICTIONS,
    HANDLER,
    METHOD,
    PROCESSOR,
    REFUSALS,
    REPLIES,
    ROW,
    ROW_HITS,
    SERVER,
    SIDE,
    STATUS,
    VARIABLE,
    VERSION,
    Histogram,
    Value,
    increase,
)
from appnet.observe.totals import Totals, add_up

_SHOWN = frozenset({CALLS, REFUSALS, REPLIES, ROW_HITS, EVICTIONS, *DURATIONS.values()})
_AT_ONCE = 1_000  # series, after which others have their turn
_EDGES_AT_ONCE = 20
_MOST = 50_000  # sums, so that looks are of bounded size whatever is sent
_LOOKS = 6
_STALE_SECONDS = 15.0


class Key(NamedTuple):
    """What a sum of an edge is of. ``detail``: the status of refusals, the row of hits, and the variable of entries."""

    side: str
    version: str
    method: str
    element: str
    handler: str
    detail: str


@dataclass(frozen=True)
class Look:
    """All sums by edge and metric at a ``time``, in seconds of the monotonic clock. ``left_out``: how many series found
    no room. ``late``: as of `Totals`."""

    time: float
    sums: dict[EdgeKey, dict[str, dict[Key, Value]]]
    left_out: int
    late: int = 0


async def look(totals: Totals, *, clustered: bool) -> Look:
    """The sums over all instances. Others have their turn meanwhile."""
    found: dict[EdgeKey, dict[str, dict[Key, Value]]] = {}
    room, left_out, late = _MOST, 0, totals.late
    series = chain(totals.series(_SHOWN), totals.series({ENTRIES}, living=True))
    for number, (name, labels, value) in enumerate(series):
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        client, server, processor = (labels.get(it, "") for it in (CLIENT, SERVER, PROCESSOR))
        edge = EdgeKey.told(client, server, processor if clustered else "")
        parts = [labels.get(it, "") for it in (SIDE, VERSION, METHOD, ELEMENT, HANDLER)]
        key = Key._make([*parts, labels.get(STATUS) or labels.get(ROW) or labels.get(VARIABLE, "")])
        sums = found.setdefault(edge, {}).setdefault(name, {}) if room else found.get(edge, {}).get(name, {})
        if key not in sums:
            if not room:
                left_out += 1
                continue
            room -= 1
        add_up(sums, key, value)
    return Look(time.monotonic(), found, left_out, late)


@dataclass(frozen=True)
class Grown:
    """A count: all of it, and how much of it came a second lately; None where nobody has looked before."""

    count: int = 0
    rate: float | None = None

    def plus(self, other: Grown) -> Grown:
        """Both together."""
        rates = [it for it in (self.rate, other.rate) if it is not None]
        return Grown(self.count + other.count, sum(rates) if rates else None)


@dataclass
class Edge:
    """What was seen of an edge. ``p50``, ``p99``: of the RPCs that ended lately, in seconds. ``versions``: calls by the
    version of the chain that judged them."""

    calls: Grown = Grown()
    refused: Grown = Grown()
    p50: float | None = None
    p99: float | None = None
    versions: dict[str, Grown] = field(default_factory=dict)

    @property
    def share(self) -> float | None:
        """Of the latest calls, what was refused."""
        if not self.calls.rate or self.refused.rate is None:
            return None
        return min(1.0, self.refused.rate / self.calls.rate)


class Counts:
    """The looks of the last seconds. ``clustered``: proxies' names end in their namespaces.

    ``modules``: the name of the artifact that each version of a chain is a version of, as far as that is known.
    """

    def __init__(self, totals: Totals, modules: dict[str, str], *, clustered: bool, looks: int = _LOOKS) -> None:
        self._totals, self.clustered, self.modules = totals, clustered, modules
        self._looks: deque[Look] = deque(maxlen=looks)
        self._looking = asyncio.Lock()
        self._edges: dict[EdgeKey, Edge] = {}

    async def refresh(self, oldest_seconds: float) -> None:
        """Looks again, unless the last look is younger than that."""
        async with self._looking:
            now = time.monotonic()
            while self._looks and self._looks[0].time < now - _STALE_SECONDS:
                self._looks.popleft()
            if not self._looks or self._looks[-1].time <= now - oldest_seconds:
                found = await look(self._totals, clustered=self.clustered)
                if self._looks and self._looks[-1].late != found.late:
                    self._looks.clear()  # what somebody had counted before says nothing of now
                self._looks.append(found)
                self._edges = {}

    @property
    def left_out(self) -> int:
        """How many series are in no sum, since there are too many."""
        return self._looks[-1].left_out if self._looks else 0

    def known(self) -> list[EdgeKey]:
        """The edges of which something was counted."""
        return list(self._looks[-1].sums) if self._looks else []

    @property
    def nothing(self) -> Grown:
        """Of what nothing was counted: none came a second, where somebody has looked before."""
        return Grown(0, 0.0 if len(self._looks) > 1 else None)

    def grown(self, edge: EdgeKey, metric: str) -> Iterator[tuple[Key, Grown]]:
        """Every sum of a metric on the edge."""
        for key, value in self._sums(edge, metric).items():
            if isinstance(value, int):
                yield key, self._since(edge, metric, key, value)

    async def edges(self, wanted: Iterable[EdgeKey]) -> AsyncIterator[tuple[EdgeKey, Edge]]:
        """What was seen of these. Others have their turn meanwhile."""
        for number, it in enumerate(wanted):
            if number % _EDGES_AT_ONCE == _EDGES_AT_ONCE - 1:
                await asyncio.sleep(0)
            yield it, self.edge(it)

    def edge(self, edge: EdgeKey) -> Edge:
        """What was seen of it."""
        found = self._edges.get(edge)
        if found is None:
            found = self._edges[edge] = self._edge(edge)
        return found

    def _edge(self, edge: EdgeKey) -> Edge:
        """Each method is counted by the module that saw most of its calls: those behind it see the same calls."""
        found, modules = Edge(), dict[tuple[str, str], dict[str, Grown]]()
        for key, it in self.grown(edge, CALLS):
            found.versions[key.version] = found.versions.get(key.version, Grown()).plus(it)
            module, parts = self.modules.get(key.version, ""), modules.setdefault((key.method, key.side), {})
            parts[module] = parts.get(module, Grown()).plus(it)
        found.refused = self.nothing
        for _, it in self.grown(edge, REFUSALS):
            found.refused = found.refused.plus(it)
        chosen: dict[str, tuple[str, Grown]] = {}
        for (method, side), parts in modules.items():
            earlier = parts.pop("", Grown())  # of versions that are known no more
            calls = max(parts.values(), key=lambda it: it.count, default=Grown()).plus(earlier)
            if method not in chosen or calls.count > chosen[method][1].count:
                chosen[method] = side, calls
        for _, calls in chosen.values():
            found.calls = found.calls.plus(calls)
        took = self._took(edge, {(method, side) for method, (side, _) in chosen.items()})
        if took is not None and took.count > 0:
            found.p50, found.p99 = took.quantile(0.5), took.quantile(0.99)
        return found

    def _took(self, edge: EdgeKey, chosen: set[tuple[str, str]]) -> Histogram | None:
        """How long the RPCs took that ended lately."""
        found: Histogram | None = None
        for metric in DURATIONS.values() if len(self._looks) > 1 else ():
            for key, value in self._sums(edge, metric).items():
                if isinstance(value, Histogram) and (key.method, key.side) in chosen:
                    before = self._before(edge, metric, key)
                    lately = value.plus(before, -1) if isinstance(before, Histogram) else value
                    found = lately if found is None else found.plus(lately)
        return found

    def _sums(self, edge: EdgeKey, metric: str) -> dict[Key, Value]:
        return self._looks[-1].sums.get(edge, {}).get(metric, {}) if self._looks else {}

    def _before(self, edge: EdgeKey, metric: str, key: Key) -> Value | None:
        return self._looks[0].sums.get(edge, {}).get(metric, {}).get(key)

    def _since(self, edge: EdgeKey, metric: str, key: Key, value: int) -> Grown:
        first, last = self._looks[0], self._looks[-1]
        if first is last:
            return Grown(value)
        before = self._before(edge, metric, key) or 0
        assert isinstance(before, int)
        return Grown(value, increase(before, value) / max(last.time - first.time, 1e-3))
