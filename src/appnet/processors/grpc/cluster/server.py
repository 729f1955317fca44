"""Serves `library.proto` to the programs of a cluster, which prove who they are.

A process that proves nothing is turned away. One that is somebody, and that no AppNetConfig is for, stays connected and
is served nothing: it gets its chains at once when there are any.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from appnet.processors.admission import IDENTITY_SECONDS, LIMITS, Limits
from appnet.processors.delivery import DeliveryServer
from appnet.processors.grpc.cluster.node import ProcessNode
from appnet.processors.grpc.cluster.places import Follower, Places
from appnet.processors.grpc.versions import LIBRARY_SERVICE, Signer, message_class
from appnet.processors.listening import Context
from appnet.processors.places import LINGER_SECONDS
from appnet.processors.processor import Caller, Delivery, Group, Serving

_MOST_ENDS = 64
"""Of a process, by one stream."""


@dataclass
class _Begun:
    """A process's stream, with its first report."""

    report: Any
    caller: Caller
    host: str


class LibraryServer(DeliveryServer[ProcessNode, _Begun]):
    """`Delivery`, to libraries. ``linger``: see `GroupPlaces`."""

    nobody = "no valid token of a service account: the program shows the one in the file that APPNET_TOKEN names"
    whom = "process"

    def __init__(
        self,
        serving: Serving,
        *,
        limits: Limits = LIMITS,
        identity_seconds: float = IDENTITY_SECONDS,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self._signer = Signer(serving.key)
        self._places = Places(self._signer, serving.arrived, serving.left, limits, serving.records, linger)
        super().__init__(serving, self._places, limits, identity_seconds)

    async def start(self) -> None:
        """Binds and serves. Raises ``OSError`` where the address cannot be had."""
        read, write = message_class("Report").FromString, message_class("SignedVersion").SerializeToString
        await self._listening.start(LIBRARY_SERVICE, {"Follow": self._serve_stream}, read, write)

    def expect(self, groups: Sequence[Group], whole: Callable[[str], bool] | None = None) -> None:
        """All groups there are."""
        self._places.expect(groups, whole or (lambda _: False))

    def _begun(self, request: Any, caller: Caller, host: str) -> _Begun:
        return _Begun(request, caller, host)

    async def _converse(self, begun: _Begun, context: Context) -> None:
        wake, report = asyncio.Event(), begun.report
        mine: dict[tuple[str, bool], Follower] = {}

        async def send() -> None:
            for it in list(mine.values()):
                while (message := it.due(self._signer)) is not None:
                    await context.write(message)

        writer = asyncio.create_task(self._write(wake, send, f"a process at {begun.host}"))
        try:
            while report is not grpc.aio.EOF:
                end = report.service, report.server
                if end not in mine and len(mine) < _MOST_ENDS:
                    follower = Follower(report, begun.caller, begun.host, wake)
                    self._places.enter(follower)
                    mine[end] = follower
                    wake.set()
                elif end in mine and report.version:
                    mine[end].answered(report)
                report = await context.read()
        finally:
            # Nothing may be awaited here: gRPC may cancel this very clean-up.
            writer.cancel()
            for it in mine.values():
                self._places.leave(it)


@contextlib.asynccontextmanager
async def library_delivery(serving: Serving) -> AsyncIterator[Delivery]:
    """Serves the programs of a cluster until the end of the context."""
    server = LibraryServer(serving)
    async with server.started():
        yield server
