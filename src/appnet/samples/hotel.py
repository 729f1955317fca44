"""The hotel application: an HTTP frontend, five gRPC services behind it, and a load generator.

    python -m appnet.samples.hotel ROLE --proto hotel.proto
    python -m appnet.samples.hotel load --frontend HOST:PORT [--requests N] [--at-once N]

A role listens on the port in the environment variable PORT, and finds the services that it calls in SEARCH_ADDRESS and
the like. ``GET /hotels`` makes four RPCs, ``GET /reserve`` one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from aiohttp import web

from appnet.application.proto import ProtoFile, load_proto
from appnet.diagnostics.source import FileSource
from appnet.samples.serving import told_status, told_to_end

_HOTELS = 40
_NEAREST = 5
_CALL_TIMEOUT_SECONDS = 10.0
_HEALTH = "grpc.health.v1.Health"
_SERVING = b"\x08\x01"  # a HealthCheckResponse
_CUSTOMERS = ("ann", "bob", "cleo", "dan")

Handler = Callable[[Any], Awaitable[Any]]


class _Messages:
    """The messages of hotel.proto by their short names."""

    def __init__(self, proto: ProtoFile) -> None:
        self._proto = proto

    def __getattr__(self, name: str) -> Any:
        return self._proto.message_class(f"hotel.{name}")


def _callee(service: str, method: str, answer: Any) -> Handler:
    """The method at the address that the environment gives for the service."""
    address = os.environ[f"{service.upper()}_ADDRESS"]
    channel = grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
    call = channel.unary_unary(
        f"/hotel.{service}/{method}",
        request_serializer=lambda it: it.SerializeToString(),
        response_deserializer=answer.FromString,
    )

    async def ask(request: Any) -> Any:
        return await call(request, timeout=_CALL_TIMEOUT_SECONDS)

    return ask


# --- services ---


def _place(number: int) -> tuple[float, float]:
    return 48.0 + number % 8 / 20, 11.0 + number // 8 / 10


def _geo(messages: _Messages) -> Mapping[str, tuple[Any, Handler]]:
    async def near(request: Any) -> Any:
        def distance(number: int) -> float:
            lat, lon = _place(number)
            return float((lat - request.lat) ** 2 + (lon - request.lon) ** 2)

        nearest = sorted(range(_HOTELS), key=distance)[:_NEAREST]
        return messages.GeoReply(hotel_ids=[f"h{it:02}" for it in nearest])

    return {"Geo/Near": (messages.GeoRequest, near)}


def _rate(messages: _Messages) -> Mapping[str, tuple[Any, Handler]]:
    async def quote_all(request: Any) -> Any:
        prices = {it: 80.0 + 3 * int(it[1:] or 0) for it in request.hotel_ids}
        return messages.RateReply(offers=[messages.Offer(hotel_id=it, price=price) for it, price in prices.items()])

    return {"Rate/Quote": (messages.RateRequest, quote_all)}


def _profile(messages: _Messages) -> Mapping[str, tuple[Any, Handler]]:
    async def profiles(request: Any) -> Any:
        hotels = [messages.Hotel(id=it, name=f"Hotel {it[1:]}", phone=f"555-01{it[1:]}") for it in request.hotel_ids]
        return messages.ProfileReply(hotels=hotels)

    return {"Profile/Profiles": (messages.ProfileRequest, profiles)}


def _reservation(messages: _Messages) -> Mapping[str, tuple[Any, Handler]]:
    made = 0

    async def reserve(request: Any) -> Any:
        nonlocal made
        made += 1
        return messages.ReserveReply(confirmation=f"{request.hotel_id}-{request.night}-{made}")

    return {"Reservation/Reserve": (messages.ReserveRequest, reserve)}


def _search(messages: _Messages) -> Mapping[str, tuple[Any, Handler]]:
    near = _callee("Geo", "Near", messages.GeoReply)
    quote_all = _callee("Rate", "Quote", messages.RateReply)

    async def nearby(request: Any) -> Any:
        found = await near(messages.GeoRequest(lat=request.lat, lon=request.lon))
        offers = await quote_all(messages.RateRequest(hotel_ids=found.hotel_ids, night=request.night))
        return messages.NearbyReply(offers=offers.offers)

    return {"Search/Nearby": (messages.NearbyRequest, nearby)}


_SERVICES = {"geo": _geo, "rate": _rate, "profile": _profile, "reservation": _reservation, "search": _search}


async def _serve(role: str, messages: _Messages, port: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    for path, (request, handler) in _SERVICES[role](messages).items():
        service, method = path.split("/")
        server.add_generic_rpc_handlers((_handlers(f"hotel.{service}", method, request.FromString, handler),))

    async def healthy(_request: bytes) -> bytes:
        return _SERVING

    server.add_generic_rpc_handlers((_handlers(_HEALTH, "Check", bytes, healthy),))
    try:
        server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        raise SystemExit(f"cannot listen on port {port}") from None
    await server.start()
    await told_to_end().wait()
    await server.stop(grace=0.5)


def _handlers(service: str, method: str, parse: Callable[[bytes], Any], handler: Handler) -> grpc.GenericRpcHandler:
    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        try:
            made = await handler(request)
        except grpc.aio.AioRpcError as error:  # whoever is called further on says why
            await context.abort(error.code(), error.details() or "")
        return made if isinstance(made, bytes) else bytes(made.SerializeToString())

    one = grpc.unary_unary_rpc_method_handler(answer, request_deserializer=parse)
    return grpc.method_handlers_generic_handler(service, {method: one})


# --- frontend ---


async def _front(messages: _Messages, port: int) -> None:
    search = _callee("Search", "Nearby", messages.NearbyReply)
    profiles = _callee("Profile", "Profiles", messages.ProfileReply)
    reserve = _callee("Reservation", "Reserve", messages.ReserveReply)

    async def hotels(query: Mapping[str, str]) -> str:
        place = {"lat": float(query.get("lat", "48.0")), "lon": float(query.get("lon", "11.0"))}
        customer, night = query.get("customer", ""), query.get("night", "")
        found = await search(messages.NearbyRequest(customer=customer, night=night, **place))
        known = await profiles(messages.ProfileRequest(hotel_ids=[it.hotel_id for it in found.offers]))
        names = {it.id: it.name for it in known.hotels}
        return "\n".join(f"{names[it.hotel_id]} ({it.hotel_id}): {it.price:.2f}" for it in found.offers)

    async def reservation(query: Mapping[str, str]) -> str:
        asked = {"hotel_id": query.get("hotel", ""), "night": query.get("night", ""), "rooms": 1}
        made = await reserve(messages.ReserveRequest(customer=query.get("customer", ""), **asked))
        return f"reserved: {made.confirmation}"

    def page(make: Callable[[Mapping[str, str]], Awaitable[str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            try:
                return web.Response(text=f"{await make(request.query)}\n", headers={"grpc-status": "0"})
            except ValueError:
                return web.Response(text="lat and lon are numbers\n", status=400)
            except grpc.aio.AioRpcError as error:
                return web.Response(text=f"{error.code().name}: {error.details()}\n", headers=told_status(error))

        return answer

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    application = web.Application()
    application.router.add_get("/hotels", page(hotels))
    application.router.add_get("/reserve", page(reservation))
    application.router.add_get("/healthz", healthy)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        raise SystemExit(f"cannot listen on port {port}: {os.strerror(error.errno or 0)}") from None
    await told_to_end().wait()
    await runner.cleanup()


# --- load ---


async def _load(frontend: str, requests: int, at_once: int) -> bool:
    """Sends the requests, prints the outcomes, and returns whether none was lost."""
    numbers = iter(range(requests))
    outcomes: Counter[str] = Counter()
    began = time.monotonic()

    async def asking(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            customer = _CUSTOMERS[number % len(_CUSTOMERS)]
            path = (
                f"/reserve?customer={'mallory' if number % 20 == 0 else customer}&hotel=h{number % _HOTELS:02}"
                if number % 5 == 0
                else f"/hotels?customer={customer}&lat={48 + number % 7 / 10}&lon=11.2"
            )
            try:
                async with session.get(f"http://{frontend}{path}") as answer:
                    await answer.read()
                    status = answer.headers.get("grpc-status", "none")
                    outcomes[f"gRPC status {status} {answer.headers.get('grpc-message', '')}".strip()] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                outcomes[f"lost: {error}"] += 1

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(asking(session) for _ in range(at_once)))
    seconds = time.monotonic() - began
    told = [f"  {count} {what}" for what, count in outcomes.most_common()]
    lines = [f"{requests} requests in {seconds:.1f} s", *told]
    sys.stdout.write("\n".join(lines) + "\n")
    return all(what.startswith(("gRPC status 0", "gRPC status 7", "gRPC status 8")) for what in outcomes)


def main() -> None:
    """Runs the role that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m appnet.samples.hotel", description="The hotel application.")
    parser.add_argument("role", choices=["frontend", *_SERVICES, "load"])
    parser.add_argument("--proto", type=Path, help="hotel.proto")
    parser.add_argument("--frontend", metavar="HOST:PORT", help="load: the frontend's address")
    parser.add_argument("--requests", type=int, default=1_000, help="load: the number of requests")
    parser.add_argument("--at-once", type=int, default=16, help="load: the number of requests at a time")
    arguments = parser.parse_args()
    if arguments.role == "load":
        if arguments.frontend is None:
            parser.error("load needs --frontend")
        raise SystemExit(0 if asyncio.run(_load(arguments.frontend, arguments.requests, arguments.at_once)) else 1)
    if arguments.proto is None or "PORT" not in os.environ:
        parser.error(f"{arguments.role} needs --proto, and the variable PORT")
    messages, port = _Messages(load_proto(FileSource(arguments.proto))), int(os.environ["PORT"])
    asyncio.run(_front(messages, port) if arguments.role == "frontend" else _serve(arguments.role, messages, port))


if __name__ == "__main__":
    main()
