"""Sidecars of both sides before a port, started as `appnetctl run` starts them, whoever is behind it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from appnet.application.model import EdgeEnd, Side
from appnet.compile.pipeline import Version
from appnet.control.rollout import artifacts_of
from appnet.observe.receiver import OtlpReceiver
from appnet.processors import registry
from appnet.processors.processor import NodeSettings
from appnet.system.address import Address

_HOST = "127.0.0.1"


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port that servers of judges may bind one after the other, and that nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((_HOST, 0))  # never listens, so that a server with the same option may
        yield holder.getsockname()[1]


@contextlib.asynccontextmanager
async def sidecars(version: Version, upstream: int, folder: Path) -> AsyncIterator[int]:
    """Runs the version between the port that this gives and the port ``upstream``."""
    edge = version.application.chains[0].chain.edge
    async with contextlib.AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(OtlpReceiver())
        address = Address(_HOST, upstream)
        for side in (Side.SERVER, Side.CLIENT):
            end = EdgeEnd(edge.client, edge.server, side)
            (processor,) = {it.segment.place.processor for it in version.artifacts}
            artifacts = artifacts_of(end, processor, version)
            assert artifacts, f"nothing runs on the side of the {side}"
            nodes = await stack.enter_async_context(registry.processor(processor).nodes())
            settings = NodeSettings(f"{side.name.lower()}-node", end, (address,), folder / side.name, receiver.address)
            address = (await nodes.start(settings, version.id, artifacts)).address
        yield address.port
