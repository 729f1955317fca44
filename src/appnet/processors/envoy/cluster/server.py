"""The extension configuration discovery service: the proxies of a cluster connect to it, one stream a filter.

A peer without a valid identity is turned away: it has to show another one, so it has to call again. One that is
somebody, and whose filter no group has for it, stays connected and is served nothing. For Envoy that is the same as no
server, but for its calls: it would ask again every second, and each time somebody would have to look at its token. So
it is also served at once when its group comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import grpc
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from appnet.processors.admission import IDENTITY_SECONDS, LIMITS, Limits
from appnet.processors.delivery import DeliveryServer
from appnet.processors.envoy.cluster.identity import Said
from appnet.processors.envoy.cluster.node import ProxyNode
from appnet.processors.envoy.cluster.places import Asking, Places
from appnet.processors.envoy.cluster.sending import Sending
from appnet.processors.envoy.cluster.state import FilterStream
from appnet.processors.envoy.native.loader import loader_identity
from appnet.processors.listening import Context
from appnet.processors.places import LINGER_SECONDS
from appnet.processors.processor import Caller, Delivery, Group, Serving

_SERVICE = "envoy.service.extension.v3.ExtensionConfigDiscoveryService"


class ClusterServer(DeliveryServer[ProxyNode, Asking]):
    """`Delivery`, by ECDS. ``linger``: see `GroupPlaces`."""

    nobody = "no token or certificate of a service account"
    whom = "proxy"

    def __init__(
        self,
        serving: Serving,
        *,
        loader: str,
        limits: Limits = LIMITS,
        identity_seconds: float = IDENTITY_SECONDS,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self._sending = Sending()
        self._places = Places(serving.key, loader, serving.arrived, serving.left, limits, linger)
        super().__init__(serving, self._places, limits, identity_seconds)

    async def start(self) -> None:
        """Binds and serves. Raises ``OSError`` where the address cannot be had."""
        streams = {"StreamExtensionConfigs": self._serve_stream}
        await self._listening.start(_SERVICE, streams, DiscoveryRequest.FromString, DiscoveryResponse.SerializeToString)

    def expect(self, groups: Sequence[Group], whole: Callable[[str], bool] | None = None) -> None:
        """All groups there are. What has others ask is objects of the cluster: with these they lose their filters."""
        del whole
        self._places.expect(groups)

    def _begun(self, request: DiscoveryRequest, caller: Caller, host: str) -> Asking:
        return Asking(FilterStream.begun(request), Said.of(request.node), caller, host)

    async def _converse(self, begun: Asking, context: Context) -> None:
        self._places.enter(begun)

        async def send() -> None:
            if begun.is_due():
                await self._sending.send(begun.host, begun.due, context.write)

        writer = asyncio.create_task(self._write(begun.wake, send, begun.proxy))
        try:
            while (request := await context.read()) is not grpc.aio.EOF:
                if begun.state.receive(request):
                    begun.answered()
        finally:
            # Nothing may be awaited here: gRPC may cancel this very clean-up.
            writer.cancel()
            self._places.leave(begun)


@contextlib.asynccontextmanager
async def cluster_delivery(serving: Serving) -> AsyncIterator[Delivery]:
    """Serves the proxies of a cluster until the end of the context."""
    server = ClusterServer(serving, loader=await asyncio.to_thread(loader_identity))
    async with server.started():
        yield server
