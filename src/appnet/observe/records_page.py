"""The records of elements, as `appnetctl logs` and `top` ask for them: a line of JSON each."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from appnet.observe.records import Record, RecordValue
from appnet.observe.store import RecordStore, StreamKey

_LOOK_SECONDS = 0.2
_ALIVE_SECONDS = 15.0
"""After which a silent stream gets an empty line, so that nobody in between takes it for dead."""
_MOST_BEFORE = 1_000


class RecordsPage:
    """Serves ``/records`` and ``/records/sums`` of ``records``."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._ending = asyncio.Event()

    def add_to(self, application: web.Application) -> None:
        """Adds its routes."""
        application.router.add_get("/records", self._lines)
        application.router.add_get("/records/sums", self._sums)

        async def end(_: web.Application) -> None:
            self._ending.set()

        application.on_shutdown.append(end)

    async def _sums(self, _request: web.Request) -> web.Response:
        """How many records of each stream have come, and order statistics of numbers among the last ones."""
        streams = [
            {
                "element": it.key.element,
                "variable": it.key.variable,
                "count": it.count,
                "latest": _value(it.latest.value),
                "median": it.floats.p50 if it.floats else None,
                "p99": it.floats.p99 if it.floats else None,
            }
            for it in self._records.summaries()
        ]
        return web.json_response({"streams": streams})

    async def _lines(self, request: web.Request) -> web.StreamResponse:
        """``tail=N``: so many of those that came before, in the order of their times. ``follow=true``: and all that
        come from now on."""
        try:
            tail = min(max(int(request.query.get("tail", "10")), 0), _MOST_BEFORE)
        except ValueError:
            return web.Response(text="tail is a number\n", status=400)
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"})
        await answer.prepare(request)
        seen = self._records.counts()
        await _send(answer, self._last(tail))
        quiet = 0.0
        while request.query.get("follow") == "true" and not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _LOOK_SECONDS)
            now = self._records.counts()
            new = sorted(self._since(seen, now), key=lambda it: it.time_ns)
            seen, quiet = now, 0.0 if new else quiet + _LOOK_SECONDS
            await _send(answer, new)
            if quiet >= _ALIVE_SECONDS:
                await answer.write(b"\n")
                quiet = 0.0
        await answer.write_eof()
        return answer

    def _last(self, number: int) -> list[Record]:
        newest = (it for key in self._records.counts() for it in self._records.records(*key)[-number:])
        return list(deque(sorted(newest, key=lambda it: it.time_ns), maxlen=number)) if number else []

    def _since(self, seen: dict[StreamKey, int], now: dict[StreamKey, int]) -> Iterator[Record]:
        for key, count in now.items():
            before = seen.get(key, 0)
            new = count - before if count >= before else count  # a stream that was forgotten meanwhile begins anew
            if new:
                yield from self._records.records(*key)[-new:]


async def _send(answer: web.StreamResponse, records: list[Record]) -> None:
    if records:
        await answer.write(b"".join(json.dumps(_plain(it)).encode() + b"\n" for it in records))


def _plain(record: Record) -> dict[str, Any]:
    return {
        "time_ns": record.time_ns,
        "element": record.element,
        "variable": record.variable,
        "value": _value(record.value),
        "resource": {key: _value(it) for key, it in record.resource.items()},
    }


def _value(value: RecordValue) -> Any:
    """As JSON has it; bytes in base64."""
    if isinstance(value, tuple):
        return [_value(it) for it in value]
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
