"""A server of a cluster's control plane: who calls is found out, and then each stream has its say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import grpc

from appnet.processors.admission import IDENTITY_SECONDS, Limits, Peers, Recognition, TooManyError, options_of
from appnet.processors.listening import Context, Listening, host_of, peer_of, refuse, token_of
from appnet.processors.places import GroupNode, GroupPlaces
from appnet.processors.processor import Caller, Serving, Stranger
from appnet.system.address import Address

_log = logging.getLogger(__name__)

_ASKING_SECONDS = 10.0

N = TypeVar("N", bound=GroupNode)
B = TypeVar("B")


class DeliveryServer(ABC, Generic[N, B]):
    """`Delivery`, whatever the protocol; ``B`` is a stream that has begun. A peer without a valid identity is turned
    away: it has to show another one, so it has to call again.

    ``identity_seconds``: how long a connection lasts, and who it is from is not asked again. ``nobody``: what callers
    are told who prove nothing; ``whom``: what the callers are, for the log.
    """

    nobody: str
    whom: str

    def __init__(
        self,
        serving: Serving,
        places: GroupPlaces[N, Any],
        limits: Limits,
        identity_seconds: float = IDENTITY_SECONDS,
    ) -> None:
        options = options_of(limits, identity_seconds)
        self._listening = Listening(serving.bind, serving.tls, options=options, most_streams=limits.streams)
        self._recognition, self._peers = Recognition(serving.authenticate), Peers(limits)
        self._of_all = places

    @abstractmethod
    async def start(self) -> None:
        """Binds and serves. Raises ``OSError`` where the address cannot be had."""

    async def stop(self) -> None:
        """Closes all streams and the port. Peers keep running what they have; nobody is told that they left."""
        self._of_all.close()
        await self._listening.stop()

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Serves until the end of the context."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    @property
    def address(self) -> Address:
        """Where peers reach it."""
        return self._listening.address

    def nodes(self, group: str) -> Sequence[N]:
        """Those of a group, by name."""
        return self._of_all.nodes(group)

    def gone(self, group: str) -> Sequence[N]:
        """The last few that left it."""
        return self._of_all.gone(group)

    def strangers(self) -> Sequence[Stranger]:
        """Connected peers that are served nothing."""
        return self._of_all.strangers()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is kept of any peer, but for those who left."""
        return self._of_all.is_empty and self._peers.is_empty and self._recognition.is_idle

    @abstractmethod
    def _begun(self, request: Any, caller: Caller, host: str) -> B:
        """The stream of this first request. Raises ``ValueError`` for one that means nothing."""

    @abstractmethod
    async def _converse(self, begun: B, context: Context) -> None:
        """All that follows. Raises ``ValueError`` for requests that mean nothing, and `TooManyError`."""

    async def _serve_stream(self, _requests: AsyncIterator[Any], context: Context) -> None:
        # An iterator would keep the first request, which is long, until the second comes: so requests are read.
        host = host_of(context)
        try:
            with self._peers.stream(host):
                with self._peers.unknown(host):
                    caller = await self._recognised(context, host)
                    begun = self._begun(await self._first(context), caller, host)
                await self._converse(begun, context)
        except TooManyError as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def _recognised(self, context: Context, host: str) -> Caller:
        try:
            async with asyncio.timeout(_ASKING_SECONDS):
                caller = await self._recognition.caller(token_of(context), peer_of(context))
        except Exception:
            _log.exception("a %s at %s could not be recognised", self.whom, host)
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "the caller cannot be checked now: try again later")
        if caller is None:
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, self.nobody)
        return caller

    async def _first(self, context: Context) -> Any:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ASKING_SECONDS):
                request = await context.read()
                if request is not grpc.aio.EOF:
                    return request
        raise ValueError("the stream asks for nothing")

    async def _write(self, wake: asyncio.Event, send: Callable[[], Awaitable[None]], name: str) -> None:
        """Sends what there is whenever somebody wakes it; ``name``: of the peer."""
        while True:
            await wake.wait()
            wake.clear()
            try:
                await send()
            except (grpc.aio.BaseError, asyncio.InvalidStateError):
                _log.debug("a stream of %s closed while it was written to", name, exc_info=True)
                return
            except Exception:
                _log.exception("%s cannot be told its version", name)
