"""Sending to many proxies: few messages in memory at once, and nobody waits for another's slow reader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary


class Sending:
    """Messages are built and written by turns, ``at_once`` of them. One that is not taken within ``patience`` seconds
    gives its turn to others, and goes on being written.

    gRPC has no way to take back a message that a peer does not read; it stays in memory until the connection ends. So
    one address has no more than ``of_host`` of them under way.
    """

    def __init__(self, at_once: int = 32, patience: float = 1.0, of_host: int = 32) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._patience, self._of_host = patience, of_host
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def send(
        self, host: str, build: Callable[[], object | None], write: Callable[[object], Awaitable[None]]
    ) -> None:
        """Writes what is built once it has its turn, if anything. Raises what ``write`` does."""
        there = self._hosts.get(host)
        if there is None:
            there = self._hosts[host] = asyncio.Semaphore(self._of_host)
        async with there:
            async with self._turns:
                message = build()
                if message is None:
                    return
                writing = asyncio.ensure_future(write(message))
                del message
                try:
                    await asyncio.wait([writing], timeout=self._patience)
                except asyncio.CancelledError:
                    writing.cancel()
                    raise
            await writing
