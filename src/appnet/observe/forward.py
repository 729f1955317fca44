"""Sends what was received on to another collector: batched, bounded, and again where that did not take it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

from appnet.observe.signals import Signal
from appnet.system.address import Address

_log = logging.getLogger(__name__)

SCHEMES = ("http", "https", "grpc", "grpcs")
_PORTS = {"http": 4318, "https": 443, "grpc": 4317, "grpcs": 443}
_BATCH_BYTES = 3 << 20  # collectors take 4 MiB over gRPC, unless they are told otherwise
_BATCH_SECONDS = 0.5
_MOST_BYTES = 64 << 20
_SEND_SECONDS = 15.0
_LAST_SECONDS = 3.0
_WAIT_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_AGAIN_HTTP = frozenset({408, 429, 502, 503, 504})
_AGAIN_GRPC = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
"""After which OTLP says to try again."""


@dataclass(frozen=True)
class Collector:
    """Where telemetry goes on to, and by what: one of `SCHEMES`."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @staticmethod
    def parse(text: str) -> Collector:
        """Reads ``http://HOST:PORT/PATH`` or ``grpc://HOST:PORT``. Raises ValueError."""
        parts = urlsplit(text)
        if parts.scheme not in SCHEMES or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError(f"{text!r} is no address of a collector")
        path = parts.path.rstrip("/")
        if path and parts.scheme.startswith("grpc"):
            raise ValueError(f"{text!r} has a path, which gRPC has none of")
        return Collector(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], path)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


_Send = Callable[[Signal, bytes], Awaitable[None]]
"""Sends one; raises the errors that follow."""


class _TryAgainError(Exception):
    """The collector is away, or has too much to do."""


class _RefusedError(Exception):
    """The collector will not take this."""


class Forwarder:
    """Sends posts on to ``collector``; usable as a listener of ``OtlpReceiver``. Use it as an async context manager.

    At most 64 MiB wait; what does not fit, what the collector refuses, and what is left in the end is ``dropped``, in
    records, points and spans.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._waiting: deque[tuple[Signal, bytes, int]] = deque()
        self._bytes = 0
        self._came, self._ending = asyncio.Event(), asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._why = ""
        self.dropped: Counter[Signal] = Counter()

    async def __aenter__(self) -> Forwarder:
        self._work = asyncio.create_task(self._forward())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        self._came.set()
        assert self._work is not None
        try:
            await asyncio.wait_for(self._work, _LAST_SECONDS)
        except TimeoutError:
            while self._waiting:
                self._drop(self._next())

    def add(self, signal: Signal, body: bytes, many: int) -> None:
        """Takes an encoded post of so many records, points or spans."""
        if self._bytes + len(body) > _MOST_BYTES:
            self.dropped[signal] += many
            return
        self._waiting.append((signal, body, many))
        self._bytes += len(body)
        self._came.set()

    def lost(self) -> list[str]:
        """What people are told of what was not forwarded."""
        many = sum(self.dropped.values())
        found = [f"nothing is forwarded to {self._collector}: {self._why}"] if self._why else []
        if many:
            found.append(f"{many} records, points and spans were not forwarded to {self._collector}")
        return found

    async def _forward(self) -> None:
        async with _sender(self._collector) as send:
            while not (self._ending.is_set() and not self._waiting):
                await self._came.wait()
                self._came.clear()
                if not self._ending.is_set():
                    await self._pause(_BATCH_SECONDS)
                while self._waiting:
                    await self._sent(self._next(), send)

    def _next(self) -> tuple[Signal, bytes, int]:
        """The oldest posts of one signal as one: messages of protobuf behind each other are the message of both."""
        signal, body, many = self._waiting.popleft()
        bodies, size = [body], len(body)
        while self._waiting and self._waiting[0][0] is signal and size + len(self._waiting[0][1]) <= _BATCH_BYTES:
            _, body, more = self._waiting.popleft()
            bodies.append(body)
            size, many = size + len(body), many + more
        self._bytes -= size
        return signal, b"".join(bodies), many

    async def _sent(self, batch: tuple[Signal, bytes, int], send: _Send) -> None:
        signal, body, _ = batch
        self._bytes += len(body)  # it still waits
        try:
            for times in range(1 << 30):
                try:
                    await send(signal, body)
                except _TryAgainError as error:
                    self._tell(str(error))
                    await self._pause(_WAIT_SECONDS[min(times, len(_WAIT_SECONDS) - 1)])
                except _RefusedError as error:
                    self._drop(batch)
                    _log.warning("%s refuses %s: %s", self._collector, signal.value, error)
                    return
                else:
                    self._tell("")
                    return
        except asyncio.CancelledError:
            self._drop(batch)
            raise
        finally:
            self._bytes -= len(body)

    def _drop(self, batch: tuple[Signal, bytes, int]) -> None:
        self.dropped[batch[0]] += batch[2]

    def _tell(self, why: str) -> None:
        if bool(why) != bool(self._why):
            _log.warning(
                "%s", f"{self._collector} takes nothing: {why}" if why else f"{self._collector} takes all again"
            )
        self._why = why

    async def _pause(self, seconds: float) -> None:
        if self._ending.is_set():
            seconds = min(seconds, _WAIT_SECONDS[0])
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)


def _sender(collector: Collector) -> AbstractAsyncContextManager[_Send]:
    return _over_grpc(collector) if collector.scheme.startswith("grpc") else _over_http(collector)


@contextlib.asynccontextmanager
async def _over_http(collector: Collector) -> AsyncIterator[_Send]:
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_SEND_SECONDS), headers=headers) as session:

        async def send(signal: Signal, body: bytes) -> None:
            zipped = await asyncio.to_thread(gzip.compress, body, 1)
            try:
                async with session.post(f"{collector}{signal.path}", data=zipped, allow_redirects=False) as answer:
                    status, text = answer.status, (await answer.content.read(200)).decode(errors="replace").strip()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise _TryAgainError(str(error) or "it does not answer") from None
            if status in _AGAIN_HTTP:
                raise _TryAgainError(f"status {status}: {text}")
            if status >= HTTPStatus.MULTIPLE_CHOICES:
                raise _RefusedError(f"status {status}: {text}")

        yield send


@contextlib.asynccontextmanager
async def _over_grpc(collector: Collector) -> AsyncIterator[_Send]:
    import grpc  # noqa: PLC0415 -- few forward, and fewer by it

    target = str(Address(collector.host, collector.port))
    options = {"compression": grpc.Compression.Gzip}
    secure = collector.scheme == "grpcs"
    opened = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), **options) if secure else None
    async with opened or grpc.aio.insecure_channel(target, **options) as channel:
        exports = {it: channel.unary_unary(f"/{it.service}/Export") for it in Signal}

        async def send(signal: Signal, body: bytes) -> None:
            try:
                await exports[signal](body, timeout=_SEND_SECONDS)
            except grpc.aio.AioRpcError as error:
                told = f"{error.code().name}: {error.details()}"
                raise (_TryAgainError if error.code().name in _AGAIN_GRPC else _RefusedError)(told) from None

        yield send
