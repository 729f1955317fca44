"""The records of elements, as `appnetctl logs` and `top` ask for them: a line of JSON each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from appnet.observe.chunks import plain
from appnet.observe.forward import Forwarder
from appnet.observe.kept import Kept
from appnet.observe.lines import Lines, seconds_asked
from appnet.observe.points import increase
from appnet.observe.reading import Wanted, matching
from appnet.observe.records import Record
from appnet.observe.store import RecordStore, StreamKey

_MOST_BEFORE = 1_000


class RecordsPage:
    """Serves ``/records`` and ``/records/sums``: of ``records`` what comes and came lately, of ``kept`` what was."""

    def __init__(self, records: RecordStore, kept: Kept, forwarder: Forwarder | None = None) -> None:
        self._records, self._kept, self._forwarder = records, kept, forwarder
        self._answers = Lines()

    def add_to(self, application: web.Application) -> None:
        """Adds its routes."""
        application.router.add_get("/records", self._lines)
        application.router.add_get("/records/sums", self._sums)
        self._answers.end_with(application)

    async def _sums(self, request: web.Request) -> web.Response:
        """How many records of each stream have come, and order statistics of numbers among the last ones. ``ago=N``:
        how many had come N seconds ago."""
        ago = seconds_asked(request, "ago")
        since = await self._kept.counts_since(ago) if ago else {}
        streams = [
            {
                "element": it.key.element,
                "variable": it.key.variable,
                "count": max(0, it.count - since.get(it.key, 0)),
                "latest": plain(it.latest.value),
                "median": it.floats.p50 if it.floats else None,
                "p99": it.floats.p99 if it.floats else None,
            }
            for it in self._records.summaries()
        ]
        not_forwarded = self._forwarder.lost() if self._forwarder is not None else []
        return web.json_response({"streams": streams, "lost": [*self._kept.lost(), *not_forwarded]})

    async def _lines(self, request: web.Request) -> web.StreamResponse:
        """``tail=N``: so many of those that came before, in the order of their times. ``since=N``: of the last N
        seconds, all of them as they came, unless there is a ``tail``. ``element=NAME,NAME`` and
        ``namespace=NAME``: only these. ``follow=true``: and all that come from now on."""
        query = request.query
        since = seconds_asked(request, "since")
        try:
            tail = None if since and "tail" not in query else min(max(int(query.get("tail", "10")), 0), _MOST_BEFORE)
        except ValueError:
            return web.Response(text="tail is a number\n", status=400)
        begin = time.time_ns() - int(since * 1e9) if since else 0
        wanted = Wanted(frozenset(filter(None, query.get("element", "").split(","))), query.get("namespace", ""), begin)
        answer = await self._answers.begin(request)
        seen = self._records.counts()
        if tail is not None:
            await _send(answer, await self._kept.last(tail, wanted))
        else:
            more = self._kept.since(wanted)
            while not self._answers.ending.is_set() and (some := await more()):
                await _send(answer, some)
        if query.get("follow") == "true":
            await self._follow(answer, wanted, seen)
        await answer.write_eof()
        return answer

    async def _follow(self, answer: web.StreamResponse, wanted: Wanted, seen: dict[StreamKey, int]) -> None:
        async def send_new() -> bool:
            nonlocal seen
            now = self._records.counts()
            new = sorted(self._since(seen, now, wanted), key=lambda it: it.time_ns)
            seen = now
            await _send(answer, new)
            return bool(new)

        await self._answers.follow(answer, send_new)

    def _since(self, seen: dict[StreamKey, int], now: dict[StreamKey, int], wanted: Wanted) -> Iterator[Record]:
        for key, count in now.items():
            before = seen.get(key, 0)
            new = increase(before, count)  # a stream that was forgotten meanwhile begins anew
            if new and (not wanted.elements or key.element in wanted.elements):
                yield from matching(self._records.records(*key, most=new), wanted)


async def _send(answer: web.StreamResponse, records: list[Record]) -> None:
    if records:
        await answer.write(await asyncio.to_thread(_encoded, records))


def _encoded(records: list[Record]) -> bytes:
    return b"".join(json.dumps(_document(it)).encode() + b"\n" for it in records)


def _document(record: Record) -> dict[str, Any]:
    return {
        "time_ns": record.time_ns,
        "element": record.element,
        "variable": record.variable,
        "value": plain(record.value),
        "resource": {key: plain(it) for key, it in record.resource.items()},
    }
