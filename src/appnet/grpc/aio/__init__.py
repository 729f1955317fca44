"""Chains inside a program that uses ``grpc.aio``:

channel = grpc.aio.insecure_channel(target, interceptors=appnet.grpc.aio.dial("frontend"))
server = grpc.aio.server(interceptors=appnet.grpc.aio.serve("server"))
"""

from __future__ import annotations

from typing import Any

from appnet.grpc.aio.client import interceptors
from appnet.grpc.aio.server import ServerInterceptor
from appnet.grpc.live import start_end
from appnet.grpc.options import Options

__all__ = ["dial", "serve"]


def dial(service: str, **options: Any) -> list[Any]:
    """The interceptors of a channel: calls of the service pass the chains of its edges on the client's side.

    ``options``: those of `appnet.grpc.options.Options`.
    """
    return interceptors(start_end(service, Options(**options), server=False))


def serve(service: str, **options: Any) -> list[Any]:
    """The interceptors of a server: calls to the service pass the chains of its edges on the server's side."""
    return [ServerInterceptor(start_end(service, Options(**options), server=True))]
