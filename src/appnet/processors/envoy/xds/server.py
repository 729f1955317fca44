"""The aggregated discovery service: proxies connect to it and are kept at their snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from appnet.processors.envoy.pieces import FILTERS_ONLY
from appnet.processors.envoy.xds.snapshot import Resource, Snapshot
from appnet.processors.envoy.xds.state import NodeState, StreamState
from appnet.processors.listening import Listening, check_token
from appnet.processors.processor import Acceptance, NodeAnswer
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ServerTls

_log = logging.getLogger(__name__)

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class XdsServer:
    """Serves ADS, state of the world, over gRPC, by ``tls`` or without, to whoever shows the ``token`` in a file, if
    there is one.

    ``bind`` with port 0 takes a free one; ``address`` tells which after ``start``. A node may be given its snapshot
    before or after its proxy connects; it may disconnect and come back; so may the controller, on the same port:
    proxies keep what they run in the meantime. Everything runs in the event loop that ``start`` was awaited in.
    """

    def __init__(self, bind: Address = ANY_LOCAL_PORT, tls: ServerTls | None = None, token: Path | None = None) -> None:
        self._listening, self._token = Listening(bind, tls), token
        self._nodes: dict[str, NodeState] = {}
        self._streams: dict[str, set[_Stream]] = {}
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Binds and serves. Raises ``OSError`` where the address cannot be had."""
        streams = {"StreamAggregatedResources": self._serve_stream}
        await self._listening.start(_SERVICE, streams, DiscoveryRequest.FromString, DiscoveryResponse.SerializeToString)

    async def stop(self) -> None:
        """Closes all streams and the port. Proxies keep running what they have."""
        await self._listening.stop()

    async def __aenter__(self) -> XdsServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def address(self) -> Address:
        """Where proxies reach the started server."""
        return self._listening.address

    def set_snapshot(self, node: str, snapshot: Snapshot) -> None:
        """Makes ``snapshot`` all that ``node`` should have; only what differs is sent.

        Raises ``ValueError`` for resources that cannot be served (see ``Snapshot.by_type``); nothing changes then.
        """
        by_type = snapshot.by_type()
        state = self._node(node)
        state.idle = {it.name: Resource.of(it) for it in snapshot.idle}
        for type_url, resources in by_type.items():
            state.set_type(type_url, resources, snapshot.version)
        self._wake(node)

    def answer(self, node: str, version: str) -> NodeAnswer:
        """How ``node`` stands to ``version`` now."""
        return self._node(node).answer(version)

    async def wait(self, version: str, nodes: Iterable[str], timeout_seconds: float) -> dict[str, NodeAnswer]:
        """Waits until every one of ``nodes`` has accepted or refused ``version``, or ``timeout_seconds`` are over.

        Never raises for a proxy's answer; those that gave none are ``PENDING`` in what is returned. An accepted
        filter runs on the proxy's main thread; its workers take it up within milliseconds.
        """
        wanted = list(nodes)
        deadline = time.monotonic() + timeout_seconds
        while True:
            changed = self._changed
            found = {node: self.answer(node, version) for node in wanted}
            left = deadline - time.monotonic()
            if left <= 0 or all(it.acceptance is not Acceptance.PENDING for it in found.values()):
                return found
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)

    def connected(self) -> frozenset[str]:
        """The nodes that have a stream open."""
        return frozenset(node for node, streams in self._streams.items() if streams)

    def strangers(self) -> frozenset[str]:
        """The nodes that have a stream open, and for which there is no snapshot."""
        return frozenset(node for node in self.connected() if not self._nodes[node].is_known)

    def _node(self, name: str) -> NodeState:
        return self._nodes.setdefault(name, NodeState(name))

    def _wake(self, node: str) -> None:
        for stream in self._streams.get(node, ()):
            stream.wake.set()
        self._notify()

    async def _serve_stream(
        self, requests: AsyncIterator[DiscoveryRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        await check_token(context, self._token)
        stream: _Stream | None = None
        writer: asyncio.Task[None] | None = None
        try:
            async for request in requests:
                if stream is None:
                    if not request.node.id:
                        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request names no node")
                    stream = self._open(request.node)
                    writer = asyncio.create_task(self._write(stream, context))
                    writer.add_done_callback(_note_failure)
                self._receive(stream, request)
        finally:
            # Nothing may be awaited here: gRPC may cancel this very clean-up.
            if writer is not None:
                writer.cancel()
            if stream is not None:
                self._close(stream)

    def _open(self, node: Node) -> _Stream:
        state = self._node(node.id)
        if state.is_known:
            state.asks_for(filters_only=FILTERS_ONLY in node.metadata)
        stream = _Stream(StreamState(state))
        self._streams.setdefault(node.id, set()).add(stream)
        return stream

    def _close(self, stream: _Stream) -> None:
        node = stream.state.node
        self._streams[node.name].discard(stream)
        if not node.is_known and not self._streams[node.name]:
            del self._streams[node.name], self._nodes[node.name]

    def _receive(self, stream: _Stream, request: DiscoveryRequest) -> None:
        answer = stream.state.receive(request)
        stream.wake.set()
        if answer is not None:
            self._notify()

    async def _write(self, stream: _Stream, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        while True:
            await stream.wake.wait()
            stream.wake.clear()
            for response in stream.state.due():
                await context.write(response)
            self._notify()  # `due` may have found that the proxy runs a version already

    def _notify(self) -> None:
        """Lets every ``wait`` look again."""
        self._changed.set()
        self._changed = asyncio.Event()


def _note_failure(writer: asyncio.Task[None]) -> None:
    """A writer may meet a stream that has just closed; its reader then ends, too."""
    if not writer.cancelled() and writer.exception() is not None:
        _log.debug("an xDS stream closed while it was written to", exc_info=writer.exception())


class _Stream:
    """One open conversation and what wakes its writer."""

    def __init__(self, state: StreamState) -> None:
        self.state = state
        self.wake = asyncio.Event()
