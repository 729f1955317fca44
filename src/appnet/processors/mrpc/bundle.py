"""What an engine of mRPC loads: a chain's code, and the layouts of its messages. `rust/appnet-mrpc-host` reads it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from appnet.processors.mrpc.bincode import Writer
from appnet.processors.mrpc.layouts import Layouts

_MAGIC = b"appnetm\1"


def service_id(path: str) -> int:
    """The number that mRPC has for the service of a method, ``/package.Service/Method``."""
    return zlib.crc32(path[1:].rpartition("/")[0].encode())


def function_id(path: str) -> int:
    """The number that mRPC has for a method."""
    return zlib.crc32(path.encode())


@dataclass(frozen=True)
class Bundle:
    """``name``: the chain's, by which its state goes on from bundle to bundle. ``version``: as its code was compiled.

    ``server``: it is for the side that calls come to. ``max_message``: bytes; a message that takes more memory is
    refused. ``resource``: an encoded ``Resource`` of OpenTelemetry. ``records``: ``HOST:PORT`` of an OTLP/HTTP
    receiver, or empty. ``code``: a container of code for several machines.
    """

    name: str
    version: str
    server: bool
    max_message: int
    resource: bytes
    records: str
    layouts: Layouts
    code: bytes

    def pack(self) -> bytes:
        """As it travels."""
        writer = Writer().raw(_MAGIC).text(self.name).text(self.version).bool(self.server).u32(self.max_message)
        writer.bytes(self.resource).text(self.records)
        self.layouts.write(writer)
        writer.list(self.layouts.methods.items(), lambda to, it: self._write_method(to, it[0], *it[1]))
        return writer.bytes(self.code).finish()

    def _write_method(self, writer: Writer, path: str, request: str, response: str) -> None:
        writer.text(path).u32(service_id(path)).u32(function_id(path))
        writer.u32(self.layouts.index(request)).u32(self.layouts.index(response))
