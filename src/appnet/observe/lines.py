"""What pages have in common that answer with lines of JSON, and go on while somebody follows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

_LOOK_SECONDS = 0.2
_ALIVE_SECONDS = 15.0
"""After which a silent stream gets an empty line, so that nobody in between takes it for dead."""
_MOST_SECONDS = 1e9


class Lines:
    """The answers of a page. They end with its server, before which ``ending`` is set."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()

    def end_with(self, application: web.Application) -> None:
        """Has them end when the application does."""

        async def end(_: web.Application) -> None:
            self.ending.set()

        application.on_shutdown.append(end)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """An answer whose lines can be written now."""
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"})
        await answer.prepare(request)
        return answer

    async def follow(self, answer: web.StreamResponse, send_new: Callable[[], Awaitable[bool]]) -> None:
        """Has what is new sent, again and again, until the server ends. ``send_new`` says whether it sent any."""
        alive = time.monotonic()
        while not self.ending.is_set():
            if await send_new():
                alive = time.monotonic()
            if time.monotonic() >= alive + _ALIVE_SECONDS:
                await answer.write(b"\n")
                alive = time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ending.wait(), _LOOK_SECONDS)


def seconds_asked(request: web.Request, name: str) -> float:
    """The seconds that a query says; 0 where it says none."""
    try:
        found = float(request.query.get(name, "0"))
    except ValueError:
        found = -1
    if not 0 <= found <= _MOST_SECONDS:
        raise web.HTTPBadRequest(text=f"{name} is a number of seconds\n")
    return found
