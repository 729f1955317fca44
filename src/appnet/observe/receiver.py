"""An OTLP endpoint for logs, metrics and traces, over HTTP and gRPC: it stands where others have their collector."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from appnet.observe.points import Point, decode_metrics
from appnet.observe.records import MalformedTelemetryError, Records, decode_logs
from appnet.observe.refusals import Refusal, decode_refusals
from appnet.observe.signals import Signal, TooLargeError
from appnet.observe.spans import Span, decode_spans
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.http import serve_http
from appnet.system.posts import Room, body_of
from appnet.system.tls import ServerTls

if TYPE_CHECKING:
    from appnet.observe.grpc_endpoint import GrpcEndpoint

_log = logging.getLogger(__name__)

_PROTOBUF = "application/x-protobuf"
_MOST_POSTS, _MOST_HELD = 16, 256 << 20  # are read at once, and in all so many bytes; other posts wait
_READ_SECONDS = 30.0
_BATCH, _LONGEST_BATCH, _MOST_BATCHES = "appnet-batch", 64, 4_096

Subscriber = Callable[[Records], None]
Listener = Callable[[Signal, bytes, int], None]
_T = TypeVar("_T")


class OtlpReceiver:
    """Accepts ``POST /v1/logs``, ``/v1/metrics`` and ``/v1/traces`` in binary protobuf, gzipped or not, and hands all
    records, points and spans to those that subscribed to them. The same over gRPC at ``grpc``, if there is an address.

    ``bind`` with port 0 takes a free one; ``address`` tells which after ``start``. By ``tls`` or without.
    """

    def __init__(
        self, bind: Address = ANY_LOCAL_PORT, tls: ServerTls | None = None, grpc: Address | None = None
    ) -> None:
        self._bind, self._tls = bind, tls
        self._grpc = None if grpc is None else _grpc_endpoint(grpc, tls, self.take)
        self._listeners: list[Listener] = []
        self._reading, self._room = asyncio.Semaphore(_MOST_POSTS), Room(_MOST_HELD)
        self._batches: dict[str, None] = {}
        self._subscribers: list[Subscriber] = []
        self._counting: list[Callable[[Point], None]] = []
        self._explaining: list[Callable[[Refusal], None]] = []
        self._tracing: list[Callable[[Span], None]] = []
        self._besides: list[Callable[[web.Application], None]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Binds and serves. Raises ``OSError`` where the address cannot be had."""
        application = web.Application()
        for it in Signal:
            application.router.add_post(it.path, partial(self._posted, it))
        for add_to in self._besides:
            add_to(application)
        self._runner = await serve_http(application, self._bind, self._tls, auto_decompress=False)
        if self._grpc is not None:
            await self._grpc.start()

    async def stop(self) -> None:
        """Ends open requests and closes the ports. Safe to call again."""
        if self._grpc is not None:
            await self._grpc.stop()
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

    @property
    def grpc_address(self) -> Address:
        """Where it listens for gRPC."""
        if self._grpc is None:
            raise RuntimeError("the OTLP receiver has no address for gRPC")
        return self._grpc.address

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls ``subscriber`` with all records from now on, some of a stream at once; the function returned ends that.

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

    def trace(self, subscriber: Callable[[Span], None]) -> None:
        """Calls ``subscriber`` with every span from now on, as `subscribe` does."""
        self._tracing.append(subscriber)

    def serve_besides(self, add_to: Callable[[web.Application], None]) -> None:
        """Serves what ``add_to`` adds, too. To be called before ``start``."""
        self._besides.append(add_to)

    def listen(self, listener: Listener) -> None:
        """Calls ``listener`` with every accepted post from now on, as it is encoded, and how much is in it."""
        self._listeners.append(listener)

    def take(self, signal: Signal, body: bytes) -> None:
        """Hands out what is in a post, all of it or nothing. Raises `MalformedTelemetryError` and `TooLargeError`."""
        if len(body) > signal.most_bytes:
            raise TooLargeError(f"more than {signal.most_bytes} bytes")
        if signal is Signal.LOGS:
            records, refusals = decode_logs(body), decode_refusals(body)
            many = sum(map(len, records)) + len(refusals)
            _hand_out(records, self._subscribers)
            _hand_out(refusals, self._explaining)
        elif signal is Signal.METRICS:
            points = decode_metrics(body)
            many = len(points)
            _hand_out(points, self._counting)
        else:
            spans = decode_spans(body)
            many = len(spans)
            _hand_out(spans, self._tracing)
        for it in self._listeners if many else ():
            it(signal, body, many)

    def _take_once(self, signal: Signal, body: bytes, batch: str) -> None:
        """Takes a post, unless it is a ``batch`` that came lately: native modules repeat one whose answer was late."""
        if batch and batch in self._batches:
            return
        self.take(signal, body)
        if 0 < len(batch) <= _LONGEST_BATCH:
            self._batches[batch] = None
            if len(self._batches) > _MOST_BATCHES:
                del self._batches[next(iter(self._batches))]

    async def _posted(self, signal: Signal, request: web.Request) -> web.Response:
        if request.content_type != _PROTOBUF:
            raise web.HTTPUnsupportedMediaType(text=f"only {_PROTOBUF} is understood\n")
        async with self._reading, body_of(request, signal.most_bytes, _READ_SECONDS, self._room) as body:
            try:
                plain = _plain(body, request.headers.get("Content-Encoding", "identity"), signal.most_bytes)
                self._take_once(signal, plain, request.headers.get(_BATCH, ""))
            except MalformedTelemetryError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from error
            except TooLargeError as error:
                raise web.HTTPRequestEntityTooLarge(signal.most_bytes, len(body), text=f"{error}\n") from error
        return web.Response(body=signal.response, content_type=_PROTOBUF)


def _grpc_endpoint(bind: Address, tls: ServerTls | None, take: Callable[[Signal, bytes], None]) -> GrpcEndpoint:
    from appnet.observe.grpc_endpoint import GrpcEndpoint  # noqa: PLC0415 -- most receivers have none

    return GrpcEndpoint(bind, tls, take)


def _hand_out(found: list[_T], subscribers: Iterable[Callable[[_T], None]]) -> None:
    for subscriber in tuple(subscribers):
        rest = iter(found)
        while True:
            try:
                for it in rest:
                    subscriber(it)
                break
            except Exception:
                _log.exception("a subscriber to telemetry failed")


def _plain(body: bytes, encoding: str, most: int) -> bytes:
    """``body`` decompressed, of at most ``most`` bytes.

    Done here because aiohttp drops the connection, unanswered, over a broken body.
    """
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise MalformedTelemetryError(f"content encoding {encoding!r} is not understood")
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = decompressor.decompress(body, most)
        if decompressor.unconsumed_tail:
            raise TooLargeError(f"more than {most} bytes when decompressed")
    except zlib.error as error:
        raise MalformedTelemetryError(f"not gzip: {error}") from error
    if not decompressor.eof:
        raise MalformedTelemetryError("gzip that is cut off")
    return plain
