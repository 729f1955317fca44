"""gRPC's own server with one service, whose messages stay bytes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc


def serve(
    service: str, handlers: Mapping[str, grpc.RpcMethodHandler], *, threads: int = 8, **options: Any
) -> tuple[grpc.Server, int]:
    """The running server and its port on loopback. ``options``: further ones of `grpc.server`."""
    server = grpc.server(ThreadPoolExecutor(threads), **options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
