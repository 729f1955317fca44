"""OTLP over gRPC: the same posts as over HTTP, with the same bounds and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from appnet.observe.records import MalformedTelemetryError
from appnet.observe.signals import Signal, TooLargeError
from appnet.system.address import Address
from appnet.system.grpc_tls import server_credentials
from appnet.system.tls import ServerTls

_MOST_CALLS = 32  # at once, so that what they take together is bounded; others are refused with RESOURCE_EXHAUSTED
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", max(it.most_bytes for it in Signal)),  # gRPC decompresses no more than that
    ("grpc.max_metadata_size", 16 << 10),
]


class GrpcEndpoint:
    """Serves ``Export`` of all signals at ``bind``, by ``tls`` or without, and gives ``take`` what comes.

    What is malformed is answered with INVALID_ARGUMENT, what is too large with RESOURCE_EXHAUSTED.
    """

    def __init__(self, bind: Address, tls: ServerTls | None, take: Callable[[Signal, bytes], None]) -> None:
        self._bind, self._tls, self._take = bind, tls, take
        self._server: grpc.aio.Server | None = None
        self.address = bind
        """Where it listens, once it was started."""

    async def start(self) -> None:
        """Binds and serves. Raises ``OSError`` where the address cannot be had."""
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS)
        for it in Signal:
            handler = grpc.unary_unary_rpc_method_handler(self._export(it))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(it.service, {"Export": handler}),))
        try:
            if self._tls is None:
                port = server.add_insecure_port(str(self._bind))
            else:
                port = server.add_secure_port(str(self._bind), server_credentials(self._tls))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._bind}: {error}") from error
        await server.start()
        self._server, self.address = server, Address(self._bind.host, port)

    async def stop(self) -> None:
        """Ends open calls and closes the port. Safe to call again."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    def _export(self, signal: Signal) -> Any:
        async def export(body: bytes, context: Any) -> bytes:
            try:
                self._take(signal, body)
            except MalformedTelemetryError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except TooLargeError as error:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            return signal.response

        return export
