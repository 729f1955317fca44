"""A gRPC server on one address, by TLS or without, and who it is that calls."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias
from urllib.parse import unquote

import grpc

from appnet.system.address import Address
from appnet.system.grpc_tls import server_credentials
from appnet.system.tls import ServerTls
from appnet.system.token import TokenFileError, read_token

_log = logging.getLogger(__name__)

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
"""Of a call, as gRPC gives it."""

Conversation = Callable[[Any, Any], Awaitable[None]]
"""Serves a stream: gets its requests, and its context."""


class Listening:
    """Serves one service's streams. Everything runs in the event loop that ``start`` was awaited in.

    ``bind`` with port 0 takes a free one; ``address`` tells which after ``start``. ``options`` are gRPC's;
    ``most_streams``: further ones are refused with RESOURCE_EXHAUSTED. A certificate that is replaced while it runs is
    shown to those who connect from then on.
    """

    def __init__(
        self,
        bind: Address,
        tls: ServerTls | None,
        *,
        options: Sequence[tuple[str, int]] = (),
        most_streams: int | None = None,
    ) -> None:
        self._bind, self._tls, self._most = bind, tls, most_streams
        # Without SO_REUSEPORT off, two controllers would silently share a port. Peers ask every 10 to 20 s whether it
        # is there: by default, gRPC takes that for an attack, and closes the connection at the fourth time.
        self._options = [("grpc.so_reuseport", 0), ("grpc.http2.max_ping_strikes", 0), *options]
        self._bound: Address | None = None
        self._server: grpc.aio.Server | None = None

    async def start(
        self,
        service: str,
        streams: Mapping[str, Conversation],
        read: Callable[[bytes], Any],
        write: Callable[[Any], bytes] | None,
    ) -> None:
        """Binds and serves ``service``; ``streams`` are its methods. Raises ``OSError`` where the address cannot be
        had."""
        server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=self._most)
        methods = {
            name: grpc.stream_stream_rpc_method_handler(serve, request_deserializer=read, response_serializer=write)
            for name, serve in streams.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        try:
            if self._tls is None:
                port = server.add_insecure_port(str(self._bind))
            else:
                port = server.add_secure_port(str(self._bind), server_credentials(self._tls))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._bind}: {error}") from error
        await server.start()
        self._server = server
        self._bound = Address(self._bind.host, port)

    async def stop(self) -> None:
        """Closes all streams and the port. Proxies keep running what they have."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    @property
    def address(self) -> Address:
        """Where proxies reach the started server."""
        if self._bound is None:
            raise RuntimeError("the server has not been started")
        return self._bound


async def refuse(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    """Ends the call with a status."""
    await context.abort(code, text)
    raise AssertionError  # `abort` raises


def token_of(context: Context) -> str | None:
    """The bearer token that the caller shows."""
    for key, value in context.invocation_metadata() or ():
        scheme, _, token = value.partition(" ") if key == "authorization" and isinstance(value, str) else ("", "", "")
        if scheme.lower() == "bearer" and token:
            return str(token)
    return None


async def check_token(context: Context, file: Path | None) -> None:
    """Ends the call of one who does not show the token in the file, which is read each time, so that it can be
    replaced. None: whoever calls may."""
    if file is None:
        return
    try:
        wanted = read_token(file)
    except TokenFileError as error:
        _log.warning("nobody can be let in by the token in %s: %s", file, error)
        await refuse(context, grpc.StatusCode.UNAVAILABLE, "callers cannot be checked now: try again later")
    if not hmac.compare_digest(wanted.encode(), (token_of(context) or "").encode()):
        text = (
            "this control plane wants a token: APPNET_TOKEN names a file with it, and `bootstrap --token-file` takes it"
        )
        await refuse(context, grpc.StatusCode.UNAUTHENTICATED, text)


def peer_of(context: Context) -> str | None:
    """The SPIFFE URI of the peer's certificate, where that was verified."""
    found = (context.auth_context() or {}).get("peer_spiffe_id", ())
    return next((it.decode(errors="replace") for it in found), None)


def host_of(context: Context) -> str:
    """The IP address of the peer, which gRPC writes such as ``ipv4:127.0.0.1:4000``."""
    return unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")
