"""A small TCP proxy before a store, or a gateway to it: its wire can be slow, dead, cut in the middle of an answer, or away."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from appnet.system.address import Address

_LARGEST = 64 << 10


class StoreWire:
    """``behind``: a store's socket, or where a gateway is. ``delay``: seconds that each part of an answer takes. ``cut_after``: bytes
    of answers that still pass before all connections are cut, once; None: all. ``flowing``: whether anything passes.
    ``cuts``: how many connections were cut. ``tls``: what it shows who connects, to whom the address gives these
    ``settings``; the store itself has none."""

    def __init__(self, behind: Path | Address, tls: ssl.SSLContext | None = None, settings: str = "") -> None:
        self.delay = 0.0
        self.cut_after: int | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.port = 0
        self.cuts = 0
        self._behind, self._tls, self._settings = behind, tls, settings
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Of the store behind it."""
        return f"{'redis' if self._tls is None else 'rediss'}://127.0.0.1:{self.port}{self._settings}"

    async def come(self) -> None:
        """Listens, again on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        """Refuses and cuts connections."""
        if self._server is not None:
            self._server.close()
        self._server = None
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Ends all connections at once."""
        self.cuts += sum(not it.is_closing() for it in self._open) // 2
        for it in self._open:
            it.transport.abort()
        self._open.clear()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._behind, Path):
            return await asyncio.open_unix_connection(self._behind)
        return await asyncio.open_connection(self._behind.host, self._behind.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            store_reader, store_writer = await self._connect()
            self._open |= {writer, store_writer}
            await asyncio.gather(self._pump(reader, store_writer), self._pump(store_reader, writer, answers=True))
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_LARGEST):
                await self.flowing.wait()
                if answers and self.delay:
                    await asyncio.sleep(self.delay)
                if answers and self.cut_after is not None:
                    writer.write(data[: self.cut_after])
                    self.cut_after -= len(data)
                    if self.cut_after <= 0:
                        self.cut_after = None
                        await writer.drain()
                        self.cut()
                        return
                else:
                    writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def store_wire(
    behind: Path | Address, tls: ssl.SSLContext | None = None, settings: str = ""
) -> AsyncIterator[StoreWire]:
    """Such a wire; the rest as of `StoreWire`."""
    wire = StoreWire(behind, tls, settings)
    await wire.come()
    try:
        yield wire
    finally:
        await wire.leave()
