"""Who is asked about whom, how often, and how much of the server one peer may take."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from appnet.processors.processor import Authenticate, Caller


@dataclass(frozen=True)
class Limits:
    """How many streams there may be: ``streams`` at all, ``host`` from one address; ``unknown`` whose callers are not
    known yet, ``unknown_host`` of these from one address; ``strangers`` at all and ``account`` of one account that are
    served nothing. ``request``: the longest request in bytes; the first one carries the whole of the proxy's metadata.
    """

    streams: int = 100_000
    host: int = 4_096
    unknown: int = 4_096
    unknown_host: int = 512
    strangers: int = 4_096
    account: int = 256
    request: int = 256 << 10


LIMITS = Limits()
IDENTITY_SECONDS = 1800.0
"""How long a connection lasts, and who it is from is not asked again."""


class TooManyError(Exception):
    """A peer has as many streams as it may."""


class Peers:
    """Counts streams by the addresses that they come from."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._every: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether there is no stream."""
        return not (self._every or self._unknown)

    @contextmanager
    def stream(self, host: str) -> Iterator[None]:
        """Raises `TooManyError` where the host has too many."""
        if self._every[host] >= self._limits.host:
            raise TooManyError(f"{host} has {self._limits.host} streams open")
        with _counted(self._every, host):
            yield

    @contextmanager
    def unknown(self, host: str) -> Iterator[None]:
        """While nobody knows who calls. Raises `TooManyError` where too many are waited for."""
        if self._unknown[host] >= self._limits.unknown_host or self._unknown.total() >= self._limits.unknown:
            raise TooManyError("too many callers wait to be recognised")
        with _counted(self._unknown, host):
            yield


@contextmanager
def _counted(counter: Counter[str], key: str) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]


class Recognition:
    """Asks ``authenticate`` about each caller once in a while, a few at a time, and once for all streams of a proxy
    that connects. Who is somebody is remembered for ``seconds``, who is nobody for a second. What they showed is not
    kept, only its hash."""

    _AT_ONCE = 32
    _MOST = 50_000
    _NOBODY_SECONDS = 1.0

    def __init__(self, authenticate: Authenticate, seconds: float = 60.0) -> None:
        self._authenticate, self._seconds = authenticate, seconds
        self._turns = asyncio.Semaphore(self._AT_ONCE)
        self._known: OrderedDict[bytes, tuple[Caller | None, float]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nobody is being asked about."""
        return not self._asking

    async def caller(self, token: str | None, peer: str | None) -> Caller | None:
        """Who shows these. Raises what ``authenticate`` does."""
        if token is None and peer is None:
            return None
        key = hashlib.sha256(repr((token, peer)).encode()).digest()
        found = self._known.get(key)
        if found is not None and found[1] > time.monotonic():
            return found[0]
        if key not in self._asking:
            task = self._asking[key] = asyncio.create_task(self._ask(key, token, peer))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(self._asking[key])

    async def _ask(self, key: bytes, token: str | None, peer: str | None) -> Caller | None:
        async with self._turns:
            caller = await self._authenticate(token, peer)
        seconds = self._NOBODY_SECONDS if caller is None else self._seconds
        self._known.pop(key, None)
        self._known[key] = caller, time.monotonic() + seconds
        while len(self._known) > self._MOST:
            self._known.popitem(last=False)
        return caller


def options_of(limits: Limits, identity_seconds: float) -> list[tuple[str, int]]:
    """Those of a gRPC server whose peers are unknown, and may stay away without a word."""
    return [
        ("grpc.max_receive_message_length", limits.request),
        ("grpc.max_send_message_length", -1),
        # Whoever has gone without a word is missed soon.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_connection_age_ms", int(identity_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", 1_000),
    ]
