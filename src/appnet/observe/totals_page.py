"""What chains have counted, as `appnetctl top` asks for it."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from appnet.observe.history import Past
from appnet.observe.kept import Kept
from appnet.observe.lines import seconds_asked
from appnet.observe.points import (
    ATTRIBUTES,
    CALLS,
    DURATIONS,
    ENTRIES,
    EVICTIONS,
    IN_FLIGHT,
    JUDGED,
    MESSAGE_BYTES,
    NOW,
    RECORDS_DROPPED,
    REFUSALS,
    REPLIES,
    ROW_HITS,
    STARTS,
    STATUS,
    STAYS,
    Histogram,
    Value,
)
from appnet.observe.totals import Totals

_MOST_STEPS = 1_440
_COUNTS = {
    "refusals": REFUSALS, "replies": REPLIES, "rows": ROW_HITS, "evictions": EVICTIONS, "dropped": RECORDS_DROPPED,
    "bytes": MESSAGE_BYTES, "starts": STARTS, "entries": ENTRIES,
}  # fmt: skip


class TotalsPage:
    """Serves ``/totals`` of ``totals``; with ``?ago=N``, as they were N seconds ago, or when they were ``kept`` first.

    ``/totals/over?seconds=N&step=N`` has them at the end of each step of so many seconds, of ``element=NAME`` alone if
    it is named.
    """

    def __init__(self, totals: Totals, kept: Kept) -> None:
        self._totals, self._kept = totals, kept

    def add_to(self, application: web.Application) -> None:
        """Adds its routes."""
        application.router.add_get("/totals", self._page)
        application.router.add_get("/totals/over", self._over)

    async def _page(self, request: web.Request) -> web.Response:
        ago = seconds_asked(request, "ago")
        found = await self._kept.sums_before(ago) if ago else None
        return web.json_response(totals_document(self._totals if found is None else found))

    async def _over(self, request: web.Request) -> web.Response:
        seconds, step = seconds_asked(request, "seconds") or 3600.0, seconds_asked(request, "step") or 60.0
        if seconds / step > _MOST_STEPS:
            raise web.HTTPBadRequest(text=f"at most {_MOST_STEPS} steps\n")
        found = await self._kept.sums_over(seconds, step, request.query.get("element", ""))
        return web.json_response({"steps": [totals_document(it) for it in found]})


def totals_document(totals: Totals | Past) -> dict[str, Any]:
    """All counts since the start: of ``calls`` by edge, side, method and version, with the ``duration`` of those that
    ended and their ``stay`` in the chain as histograms; and of what elements did, and what their state holds."""
    calls = totals.by([CALLS], JUDGED)
    flying = totals.by([IN_FLIGHT], JUDGED, living=True)
    took, stays = totals.by(DURATIONS.values(), JUDGED), totals.by([STAYS], JUDGED)
    found: dict[str, Any] = {"time": totals.time if isinstance(totals, Past) else time.time()}
    found["refused_points"] = totals.refused
    found["calls"] = [
        {
            **_named(JUDGED, key),
            "count": count,
            "in_flight": flying.get(key, 0),
            "duration": _plain(took.get(key)),
            "stay": _plain(stays.get(key)),
        }
        for key, count in sorted(calls.items())
    ]
    for kind, metric in _COUNTS.items():
        attributes = ATTRIBUTES[metric]
        sums = totals.by([metric], attributes, living=metric in NOW)
        found[kind] = [{**_named(attributes, key), "count": count} for key, count in sorted(sums.items())]
    return found


def _named(attributes: tuple[str, ...], key: tuple[str, ...]) -> dict[str, str]:
    """By the last parts of their names; a status is a ``code``."""
    names = ("code" if it == STATUS else it.rpartition(".")[2] for it in attributes)
    return dict(zip(names, key, strict=True))


def _plain(value: Value | None) -> dict[str, Any] | None:
    return None if not isinstance(value, Histogram) else vars(value) | {"counts": list(value.counts)}
