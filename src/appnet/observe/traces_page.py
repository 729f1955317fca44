"""Traces as `appnetctl traces` asks for them: a line of JSON each, with the spans that have come so far."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from aiohttp import web

from appnet.observe.kept import Kept
from appnet.observe.lines import Lines, seconds_asked
from appnet.observe.spans import Span
from appnet.observe.spans_kept import span_document

_QUIET_SECONDS = 1.5
"""Without a new span, after which a trace is taken to be whole. A span that comes later shows it again."""
_MOST_BEFORE, _MOST_OPEN = 1_000, 10_000
_ID = re.compile("[0-9a-f]{32}")


class Arrivals:
    """The traces that had spans lately, for those who follow: when the last span of each came, in that order."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def add(self, span: Span) -> None:
        """Usable as a subscriber of ``OtlpReceiver``."""
        self._last.pop(span.trace_id, None)
        self._last[span.trace_id] = time.monotonic()
        if len(self._last) > _MOST_OPEN:
            del self._last[next(iter(self._last))]

    def between(self, after: float, until: float) -> list[str]:
        """The traces whose last span came in between, by the monotonic clock."""
        return [trace for trace, came in self._last.items() if after < came <= until]


class TracesPage:
    """Serves ``/traces`` of what is ``kept``, and of what comes."""

    def __init__(self, kept: Kept, arrivals: Arrivals) -> None:
        self._kept, self._arrivals = kept, arrivals
        self._answers = Lines()

    def add_to(self, application: web.Application) -> None:
        """Adds its routes."""
        application.router.add_get("/traces", self._lines)
        self._answers.end_with(application)

    async def _lines(self, request: web.Request) -> web.StreamResponse:
        """``id=ID``: this trace. Else the last ones, the latest last. ``last=N``: at most so many; ``since=N``: only of
        the last N seconds; ``follow=true``: and then those that come."""
        query, since = request.query, seconds_asked(request, "since")
        trace = query.get("id", "")
        try:
            last = min(max(int(query.get("last", str(_MOST_BEFORE) if since else "10")), 0), _MOST_BEFORE)
        except ValueError:
            return web.Response(text="last is a number\n", status=400)
        if trace and not _ID.fullmatch(trace):
            return web.Response(text="id is 32 hexadecimal digits\n", status=400)
        answer = await self._answers.begin(request)
        began = time.monotonic() - _QUIET_SECONDS
        begin = time.time_ns() - int(since * 1e9) if since else 0
        await self._send(answer, [trace] if trace else await self._kept.last_traces(last, begin))
        if query.get("follow") == "true" and not trace:
            await self._follow(answer, began)
        await answer.write_eof()
        return answer

    async def _follow(self, answer: web.StreamResponse, seen: float) -> None:
        async def send_new() -> bool:
            nonlocal seen
            until = time.monotonic() - _QUIET_SECONDS
            new = self._arrivals.between(seen, until)
            seen = until
            await self._send(answer, new)
            return bool(new)

        await self._answers.follow(answer, send_new)

    async def _send(self, answer: web.StreamResponse, traces: list[str]) -> None:
        for trace in traces:
            if spans := await self._kept.trace(trace):
                await answer.write(json.dumps(_document(trace, spans)).encode() + b"\n")


def _document(trace: str, spans: list[Span]) -> dict[str, Any]:
    """The trace with its spans, in the order of their beginnings."""
    return {"trace_id": trace, "spans": [span_document(it) for it in sorted(spans, key=lambda it: it.start_ns)]}
