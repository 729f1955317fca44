"""The echo application: an HTTP frontend that calls a gRPC server.

    python -m appnet.samples.echo server --proto echo.proto [--port PORT]
    python -m appnet.samples.echo frontend --proto echo.proto --server HOST:PORT [--port PORT]

Each binds a port on the loopback interface, a free one unless told, prints one line ``{"address": "HOST:PORT"}`` and
runs until it is told to end. ``GET /?key=WORD`` at the frontend makes one call with ``Body`` set to WORD. With
``--library``, each program runs its chains itself, without a proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web

import appnet.grpc
from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.samples.serving import told_status, told_to_end

_SERVICE = "echo.EchoService"
_METHOD = "echo"
_MESSAGE = "echo.Msg"

_CALL_TIMEOUT_SECONDS = 10.0
_PASSED_ON = ("traceparent", "tracestate", "b3", "x-request-id")
"""The headers by which a call is found again, in traces and by its ID."""
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


async def serve_echo(proto: Path, name: str, port: int, interceptors: Sequence[Any] = ()) -> None:
    """The server: answers every call with the ``Body`` "You've hit NAME" until SIGTERM or SIGINT."""
    message = load_proto(FileSource(proto)).message_class(_MESSAGE)

    async def echo(_request: Any, _context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return message(Body=f"You've hit {name}")

    handler = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=message.FromString, response_serializer=message.SerializeToString
    )
    server = grpc.aio.server(interceptors=interceptors, options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),))
    try:
        port = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        raise SystemExit(f"cannot listen on port {port}; take another --port") from None
    await server.start()
    await _run_at("127.0.0.1", port)
    await server.stop(grace=0.5)


async def serve_frontend(proto: Path, server: str, port: int, interceptors: Sequence[Any] = ()) -> None:
    """The frontend: HTTP in on ``port``, one gRPC call to ``server`` (HOST:PORT) for each, until SIGTERM or SIGINT.

    A failed call is answered with "Echo server returns an error." and its status in the headers ``grpc-status`` and
    ``grpc-message`` (percent-encoded), so that a tool can tell an injected fault from a failure.
    """
    message = load_proto(FileSource(proto)).message_class(_MESSAGE)
    # One direct connection: no proxy of the environment may stand between the frontend and its sidecar.
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(server, options=options, interceptors=interceptors) as channel:
        call = channel.unary_unary(
            f"/{_SERVICE}/{_METHOD}",
            request_serializer=message.SerializeToString,
            response_deserializer=message.FromString,
        )

        async def get(request: web.Request) -> web.Response:
            asked = message(Body=request.query.get("key", ""))
            passed = [(key, request.headers[key]) for key in _PASSED_ON if key in request.headers]
            try:
                reply = await call(asked, timeout=_CALL_TIMEOUT_SECONDS, metadata=passed)
            except grpc.aio.AioRpcError as error:
                return web.Response(text="Echo server returns an error.\n", headers=told_status(error))
            return web.Response(text=f"{reply.Body}\n", headers={"grpc-status": "0"})

        application = web.Application()
        application.router.add_get("/", get)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            raise SystemExit(
                f"cannot listen on port {port}: {os.strerror(error.errno or 0)}; take another --port"
            ) from None
        await _run_at(*runner.addresses[0][:2])
        await runner.cleanup()


async def _run_at(host: str, port: int) -> None:
    """Says where the service is and waits to be told to end."""
    told = told_to_end()
    print(json.dumps({"address": f"{host}:{port}"}), flush=True)  # noqa: T201
    await told.wait()


def _random_name() -> str:
    return "server-" + "".join(random.choices(_NAME_LETTERS, k=5))  # noqa: S311


def main() -> None:
    """Runs the role that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m appnet.samples.echo", description="The echo application.")
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("server", help="the gRPC server")
    server.add_argument("--name", default=_random_name(), help="its name (default: server-XXXXX)")
    frontend = roles.add_parser("frontend", help="the HTTP frontend")
    frontend.add_argument("--server", required=True, metavar="HOST:PORT", help="the server's address")
    for role in (server, frontend):
        role.add_argument("--proto", type=Path, required=True, help="echo.proto")
        role.add_argument("--library", action="store_true", help="run chains in this program: see docs/grpc-python.md")
        role.add_argument("--port", type=int, default=0, help="the port to listen on (default: a free port)")
    arguments = parser.parse_args()
    if arguments.role == "server":
        interceptors = appnet.grpc.aio.serve("server") if arguments.library else []
        asyncio.run(serve_echo(arguments.proto, arguments.name, arguments.port, interceptors))
    else:
        interceptors = appnet.grpc.aio.dial("frontend") if arguments.library else []
        asyncio.run(serve_frontend(arguments.proto, arguments.server, arguments.port, interceptors))


if __name__ == "__main__":
    main()
