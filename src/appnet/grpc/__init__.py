"""Chains of AppNet's elements inside a program that uses gRPC, without any proxy. Two lines turn it on:

    channel = grpc.intercept_channel(channel, *appnet.grpc.dial("frontend"))
    server = grpc.server(pool, interceptors=appnet.grpc.serve("server"))

"frontend" and "server" are the services' names, as the application's configuration has them. The chains come from the
control plane at ``$APPNET_CONTROL``, which replaces them while calls run, or from ``files`` of the program.
Until the first version has come, calls wait for a while and then fail: nothing passes unjudged unless ``pass_unjudged``
says so. `appnet.grpc.aio` has the same for ``grpc.aio``.
"""

from __future__ import annotations

from typing import Any

from appnet.grpc import aio
from appnet.grpc.client import ClientInterceptor
from appnet.grpc.live import start_end
from appnet.grpc.options import Options
from appnet.grpc.server import ServerInterceptor

__all__ = ["aio", "dial", "serve"]


def dial(service: str, **options: Any) -> list[Any]:
    """The interceptors of a channel: calls of the service pass the chains of its edges on the client's side.

    ``options``: those of `appnet.grpc.options.Options`.
    """
    return [ClientInterceptor(start_end(service, Options(**options), server=False))]


def serve(service: str, **options: Any) -> list[Any]:
    """The interceptors of a server: calls to the service pass the chains of its edges on the server's side."""
    return [ServerInterceptor(start_end(service, Options(**options), server=True))]
