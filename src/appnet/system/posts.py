"""Bodies of posts to servers of our own: bounded each, and together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web


@dataclass
class Room:
    """``most``: how many bytes of posts may be in hand at once; ``held``: how many are."""

    most: int
    held: int = 0


@asynccontextmanager
async def body_of(request: web.Request, most: int, seconds: float, *rooms: Room) -> AsyncIterator[bytes]:
    """What is posted: at most so many bytes, within some seconds. It takes its place in the rooms until the end of the
    context. Raises `web.HTTPException`, which answers a post that is too large, too slow or too much.
    """
    parts: list[bytes] = []
    size = 0
    try:
        try:
            async with asyncio.timeout(seconds):
                async for it in request.content.iter_any():
                    parts.append(it)
                    size += len(it)
                    for room in rooms:
                        room.held += len(it)
                    if size > most:
                        raise web.HTTPRequestEntityTooLarge(most, size, text=f"more than {most} bytes\n")
                    if any(room.held > room.most for room in rooms):
                        raise web.HTTPServiceUnavailable(text="too much is posted at once: try again\n")
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"the post did not come within {seconds:.0f} s\n") from None
        except ConnectionError:
            raise web.HTTPBadRequest(text="the post is cut off\n") from None  # nobody is there to read it
        parts[:] = [b"".join(parts)]
        yield parts[0]
    finally:
        parts.clear()  # answers that are errors keep this frame for a while
        for room in rooms:
            room.held -= size
