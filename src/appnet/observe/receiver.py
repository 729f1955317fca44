"""An OTLP/HTTP endpoint for logs and metrics: on one machine it stands where a cluster has its collector."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from aiohttp import web

from appnet.observe.otlp import ExportLogsServiceResponse, ExportMetricsServiceResponse
from appnet.observe.points import Point, decode_metrics
from appnet.observe.records import MalformedTelemetryError, Record, decode_logs
from appnet.observe.refusals import Refusal, decode_refusals
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.http import serve_http
from appnet.system.tls import ServerTls

_log = logging.getLogger(__name__)

_PROTOBUF = "application/x-protobuf"
_MAX_POST_BYTES = 64 << 20
_MAX_COUNTS_BYTES = 8 << 20  # more than an instance may tell; of small points, these take a second or two

Subscriber = Callable[[Record], None]
_T = TypeVar("_T")


class OtlpReceiver:
    """Accepts ``POST /v1/logs`` and ``/v1/metrics`` in binary protobuf, gzipped or not, and hands every record and
    every point to those that subscribed to them.

    ``bind`` with port 0 takes a free one; ``address`` tells which after ``start``. By ``tls`` or without.
    """

    def __init__(self, bind: Address = ANY_LOCAL_PORT, tls: ServerTls | None = None) -> None:
        self._bind, self._tls = bind, tls
        self._subscribers: list[Subscriber] = []
        self._counting: list[Callable[[Point], None]] = []
        self._explaining: list[Callable[[Refusal], None]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Binds and serves. Raises ``OSError`` where the address cannot be had."""
        application = web.Application(client_max_size=_MAX_POST_BYTES)
        application.router.add_post("/v1/logs", self._take_logs)
        application.router.add_post("/v1/metrics", self._take_metrics)
        self._runner = await serve_http(application, self._bind, self._tls, auto_decompress=False)

    async def stop(self) -> None:
        """Ends open requests and closes the port. Safe to call again."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> OtlpReceiver:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> Address:
        """Where the started receiver listens."""
        if self._runner is None:
            raise RuntimeError("the OTLP receiver has not been started")
        host, port = self._runner.addresses[0][:2]
        return Address(host, port)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls ``subscriber`` with every record from now on; the function returned ends that.

        Subscribers run in the event loop and must not block; one that raises is logged and does no harm.
        """
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def count(self, subscriber: Callable[[Point], None]) -> None:
        """Calls ``subscriber`` with every point of a metric from now on, as `subscribe` does."""
        self._counting.append(subscriber)

    def explain(self, subscriber: Callable[[Refusal], None]) -> None:
        """Calls ``subscriber`` with every refusal from now on, as `subscribe` does."""
        self._explaining.append(subscriber)

    async def _take_logs(self, request: web.Request) -> web.Response:
        found = await _decoded(request, _logs)
        _hand_out((it for it in found if isinstance(it, Record)), self._subscribers)
        _hand_out((it for it in found if isinstance(it, Refusal)), self._explaining)
        return web.Response(body=ExportLogsServiceResponse().SerializeToString(), content_type=_PROTOBUF)

    async def _take_metrics(self, request: web.Request) -> web.Response:
        _hand_out(await _decoded(request, decode_metrics, _MAX_COUNTS_BYTES), self._counting)
        return web.Response(body=ExportMetricsServiceResponse().SerializeToString(), content_type=_PROTOBUF)


def _logs(body: bytes) -> list[Record | Refusal]:
    return [*decode_logs(body), *decode_refusals(body)]


async def _decoded(request: web.Request, decode: Callable[[bytes], list[_T]], most: int = _MAX_POST_BYTES) -> list[_T]:
    """What is in the post, all of it or nothing."""
    if request.content_type != _PROTOBUF:
        raise web.HTTPUnsupportedMediaType(text=f"only {_PROTOBUF} is understood\n")
    try:
        return decode(_plain(await request.read(), request.headers.get("Content-Encoding", "identity"), most))
    except MalformedTelemetryError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error


def _hand_out(found: Iterable[_T], subscribers: Iterable[Callable[[_T], None]]) -> None:
    for it in found:
        for subscriber in tuple(subscribers):
            try:
                subscriber(it)
            except Exception:
                _log.exception("a subscriber to telemetry failed")


def _plain(body: bytes, encoding: str, most: int) -> bytes:
    """``body`` decompressed, of ``most`` bytes.

    Done here because aiohttp drops the connection, unanswered, over a broken body.
    """
    if len(body) > most:
        raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(body))
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise MalformedTelemetryError(f"content encoding {encoding!r} is not understood")
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = decompressor.decompress(body, most)
    except zlib.error as error:
        raise MalformedTelemetryError(f"not gzip: {error}") from error
    if not decompressor.eof:
        raise MalformedTelemetryError("gzip that is cut off or too long")
    return plain
