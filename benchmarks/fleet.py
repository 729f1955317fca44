"""Simulated proxies of a cluster: they ask for their filters as Envoy does, and accept whatever comes, at once.

    python -m benchmarks.fleet ADDRESS CA TOKEN FIRST COUNT CHAIN...

Each has a connection of its own, by TLS, and a stream for each filter. What it says of itself is as long as what Envoy
says. One that is cut off comes back as Envoy does, a tenth of a second to a second later. It says
`READY`, and ends with its input.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from appnet.processors.envoy.xds.snapshot import EXTENSIONS

NAMESPACE, ACCOUNT, LABELS = "default", "echo", {"app": "echo"}
METHOD = "/envoy.service.extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs"
READY = b"ready\n"
"""What it says once its proxies look for their control plane."""

_EXTENSIONS = 500  # an Envoy 1.40 lists 516, and its whole node has 61 kB
_BACK_OFF = [(f"grpc.{it}_reconnect_backoff_ms", ms) for it, ms in (("min", 100), ("initial", 100), ("max", 1000))]


def node_of(number: int) -> Node:
    """What the proxy of this number says of itself."""
    name = f"echo-{number}"
    node = Node(id=f"sidecar~10.0.{number // 256}.{number % 256}~{name}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local")
    node.metadata.update({"NAME": name, "NAMESPACE": NAMESPACE, "SERVICE_ACCOUNT": ACCOUNT, "LABELS": LABELS})
    version = node.user_agent_build_version.version
    version.major_number, version.minor_number = 1, 38
    for it in range(_EXTENSIONS):
        extension = node.extensions.add(name=f"envoy.extensions.some.category.number_{it}", category="some.category")
        extension.type_urls.append(f"envoy.extensions.some.category.number_{it}.v3.Configuration")
    return node


class Proxy:
    """One proxy, and what its filters run."""

    def __init__(self, number: int, chains: Sequence[str], token: str) -> None:
        self._node, self._token = node_of(number), token
        self._versions = dict.fromkeys(chains, "")

    async def run(self, address: str, credentials: grpc.ChannelCredentials) -> None:
        """Asks for all of its filters, for ever."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), *_BACK_OFF]
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            await asyncio.gather(*(self._ask(channel, it) for it in self._versions))

    async def _ask(self, channel: grpc.aio.Channel, chain: str) -> None:
        ask = channel.stream_stream(METHOD, DiscoveryRequest.SerializeToString, DiscoveryResponse.FromString)
        while True:
            try:
                call = ask(metadata=(("authorization", f"Bearer {self._token}"),), wait_for_ready=True)
                request = DiscoveryRequest(type_url=EXTENSIONS, resource_names=[chain], node=self._node)
                while True:
                    request.version_info = self._versions[chain]
                    await call.write(request)
                    response = await call.read()
                    if response is grpc.aio.EOF:
                        break
                    self._versions[chain] = response.version_info
                    request = DiscoveryRequest(
                        type_url=EXTENSIONS, resource_names=[chain], response_nonce=response.nonce
                    )
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            await asyncio.sleep(random.uniform(0.1, 1.0))


async def main() -> None:
    """Runs the proxies until the input ends."""
    address, ca, token, first, count, *chains = sys.argv[1:]
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes())
    numbers = range(int(first), int(first) + int(count))
    running = [asyncio.create_task(Proxy(it, chains, token).run(address, credentials)) for it in numbers]
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    await asyncio.to_thread(sys.stdin.read)
    for it in running:
        it.cancel()


if __name__ == "__main__":
    asyncio.run(main())
