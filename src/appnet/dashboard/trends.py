"""How edges did over the last minutes: looked at again and again, whether somebody is there to see it or not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from appnet.dashboard.counts import Counts
from appnet.dashboard.running import EdgeKey
from appnet.observe.totals import Totals

STEP_SECONDS = 5.0
STEPS = 120
_MOST_EDGES = 1_000


class Step(NamedTuple):
    """An edge within a step: calls and refusals a second, and quantiles in seconds of the RPCs that ended. None: not
    known."""

    calls: float | None
    refused: float | None
    p50: float | None
    p99: float | None


_UNKNOWN = Step(None, None, None, None)


class Trends:
    """The last `STEPS` steps of each edge, as long as `follow` runs. Of more than 1,000 edges, the first ones."""

    def __init__(self, totals: Totals, modules: dict[str, str], *, clustered: bool) -> None:
        self.counts = Counts(totals, modules, clustered=clustered, looks=2)
        self._edges: dict[EdgeKey, deque[Step]] = {}

    async def follow(self) -> None:
        """Looks at each step."""
        while True:
            await self.step()
            await asyncio.sleep(STEP_SECONDS)

    async def step(self) -> None:
        """Looks once."""
        await self.counts.refresh(0)
        known = dict.fromkeys([*self._edges, *self.counts.known()])
        async for edge, seen in self.counts.edges(list(known)[:_MOST_EDGES]):
            steps = self._edges.setdefault(edge, deque(maxlen=STEPS))
            steps.append(Step(seen.calls.rate, seen.refused.rate, seen.p50, seen.p99))

    def of(self, edge: EdgeKey) -> Sequence[Step]:
        """All `STEPS` of them, the last one last."""
        known = self._edges.get(edge, ())
        return [*[_UNKNOWN] * (STEPS - len(known)), *known]
