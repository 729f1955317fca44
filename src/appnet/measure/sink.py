"""Takes whatever is posted to it: where telemetry ends in a benchmark, at less cost than decoding it."""

from __future__ import annotations

import asyncio
import re

from appnet.system.address import ANY_LOCAL_PORT, Address

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"


class Sink:
    """An HTTP/1.1 server on a free port that answers every request with an empty 200; an async context manager."""

    def __init__(self) -> None:
        self.bytes = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Sink:
        self._server = await asyncio.start_server(self._serve, ANY_LOCAL_PORT.host, ANY_LOCAL_PORT.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def address(self) -> Address:
        """Where the started sink listens."""
        assert self._server is not None
        return Address(*self._server.sockets[0].getsockname()[:2])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.bytes += await _read_request(reader)
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> int:
    """Reads one request and returns the size of its body in bytes."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = 0
    if _CHUNKED.search(head):
        while chunk := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await reader.readexactly(chunk + 2)
            size += chunk
        await reader.readuntil(b"\r\n")
    elif length := _LENGTH.search(head):
        size = int(length[1])
        await reader.readexactly(size)
    return size
