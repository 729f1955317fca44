"""What chains have counted, as `appnetctl top` asks for it."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from appnet.observe.points import (
    ATTRIBUTES,
    CALLS,
    DURATIONS,
    EVICTIONS,
    IN_FLIGHT,
    JUDGED,
    RECORDS_DROPPED,
    REFUSALS,
    REPLIES,
    ROW_HITS,
    STATUS,
    Histogram,
    Value,
)
from appnet.observe.totals import Totals

_COUNTS = {
    "refusals": REFUSALS, "replies": REPLIES, "rows": ROW_HITS, "evictions": EVICTIONS, "dropped": RECORDS_DROPPED,
}  # fmt: skip


class TotalsPage:
    """Serves ``/totals`` of ``totals``."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def add_to(self, application: web.Application) -> None:
        """Adds its route."""
        application.router.add_get("/totals", self._page)

    async def _page(self, _request: web.Request) -> web.Response:
        return web.json_response(totals_document(self._totals))


def totals_document(totals: Totals) -> dict[str, Any]:
    """All counts since the start: of ``calls`` by edge, side, method and version, with the ``duration`` of those that
    ended as a histogram; and of what elements did."""
    calls = totals.by([CALLS], JUDGED)
    flying = totals.by([IN_FLIGHT], JUDGED, living=True)
    took = totals.by(DURATIONS.values(), JUDGED)
    found: dict[str, Any] = {"time": time.time(), "refused_points": totals.refused}
    found["calls"] = [
        {**_named(JUDGED, key), "count": count, "in_flight": flying.get(key, 0), "duration": _plain(took.get(key))}
        for key, count in sorted(calls.items())
    ]
    for kind, metric in _COUNTS.items():
        attributes = ATTRIBUTES[metric]
        sums = totals.by([metric], attributes)
        found[kind] = [{**_named(attributes, key), "count": count} for key, count in sorted(sums.items())]
    return found


def _named(attributes: tuple[str, ...], key: tuple[str, ...]) -> dict[str, str]:
    """By the last parts of their names; a status is a ``code``."""
    names = ("code" if it == STATUS else it.rpartition(".")[2] for it in attributes)
    return dict(zip(names, key, strict=True))


def _plain(value: Value | None) -> dict[str, Any] | None:
    return None if not isinstance(value, Histogram) else vars(value) | {"counts": list(value.counts)}
