"""Calls of a client of ``grpc.aio``, on their way through chains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc

from appnet.grpc.aio.calls import StreamCall, UnaryCall, error_of
from appnet.grpc.ends import End
from appnet.grpc.metadata import listed
from appnet.grpc.passage import Ended, Judge, Passage

Continuation = Callable[[Any, Any], Awaitable[Any]]


def interceptors(end: End) -> list[Any]:
    """One for each kind of call: gRPC takes an object for one kind alone."""
    return [it(end) for it in (UnaryUnary, UnaryStream, StreamUnary, StreamStream)]


class _Interceptor:
    def __init__(self, end: End) -> None:
        self._end = end

    async def _through(self, continuation: Continuation, details: Any, given: Any, kind: Any) -> Any:
        try:
            judges = await self._end.judges_soon(_path(details), details.timeout)
        except Ended as ended:
            raise error_of(ended) from None
        return await self._nested(continuation, details, given, kind, judges)

    async def _nested(
        self, continuation: Continuation, details: Any, given: Any, kind: Any, judges: Sequence[Judge]
    ) -> Any:
        if not judges:
            return await continuation(details, given)

        async def inner(changed: Any, message: Any) -> Any:
            return await self._nested(continuation, changed, message, kind, judges[1:])

        passage = Passage(
            judges[0], listed(details.metadata), timeout=details.timeout, authority=self._end.options.authority
        )
        call = kind(passage)
        call.go(_Way(passage, call, inner, details).go(given))
        return await call.begun()


class UnaryUnary(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """A request and a response."""

    async def intercept_unary_unary(self, continuation: Continuation, details: Any, request: Any) -> Any:
        """The call, as the chain lets it be."""
        return await self._through(continuation, details, request, UnaryCall)


class UnaryStream(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """A request and responses."""

    async def intercept_unary_stream(self, continuation: Continuation, details: Any, request: Any) -> Any:
        """The call, as the chain lets it be."""
        return await self._through(continuation, details, request, StreamCall)


class StreamUnary(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[misc]
    """Requests and a response."""

    async def intercept_stream_unary(self, continuation: Continuation, details: Any, request_iterator: Any) -> Any:
        """The call, as the chain lets it be."""
        return await self._through(continuation, details, request_iterator, UnaryCall)


class StreamStream(_Interceptor, grpc.aio.StreamStreamClientInterceptor):  # type: ignore[misc]
    """Requests and responses."""

    async def intercept_stream_stream(self, continuation: Continuation, details: Any, request_iterator: Any) -> Any:
        """The call, as the chain lets it be."""
        return await self._through(continuation, details, request_iterator, StreamCall)


class _Way:
    """The way of a request through a chain, to the call behind it."""

    def __init__(self, passage: Passage, call: Any, continuation: Continuation, details: Any) -> None:
        self._passage, self._call, self._continuation, self._details = passage, call, continuation, details

    async def go(self, given: Any) -> Any:
        """Makes the call behind. Raises `Ended`."""
        passage = self._passage
        if not passage.method.request.streams and not hasattr(given, "__aiter__") and hasattr(given, "DESCRIPTOR"):
            given = await passage.soon(passage.begin, given)
        else:
            await passage.soon(passage.open)
            given = await self._requests_after_first(_iterated(given))
        if passage.wait:
            left = passage.left()
            await asyncio.sleep(passage.wait if left is None else min(passage.wait, left))
        if passage.left() == 0:
            await passage.soon(passage.finish_with, grpc.StatusCode.DEADLINE_EXCEEDED.value[0], [], [])
            raise Ended(grpc.StatusCode.DEADLINE_EXCEEDED.value[0], b"Deadline Exceeded")
        passage.sent()
        return await self._continuation(self._changed(), given)

    async def _requests_after_first(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Where elements may yet change the headers, these go on when the first message has been judged."""
        passage, held = self._passage, []
        if passage.method.request.holds:
            async for it in requests:
                held.append(await passage.soon(passage.request, it))
                break
            else:
                await passage.soon(passage.request, None)
        return self._requests(held, requests)

    async def _requests(self, held: list[Any], requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        passage = self._passage
        for it in held:
            yield it
        try:
            async for it in requests:
                yield await passage.soon(passage.request, it)
            if passage.is_unasked:
                await passage.soon(passage.request, None)
        except Ended:
            self._call.stop()

    def _changed(self) -> Any:
        details, passage = self._details, self._passage
        return grpc.aio.ClientCallDetails(
            details.method,
            passage.left() if passage.shortened else details.timeout,
            grpc.aio.Metadata(*passage.metadata),
            details.credentials,
            details.wait_for_ready,
        )


def _path(details: Any) -> str:
    method: Any = details.method
    return method.decode() if isinstance(method, bytes) else str(method)


async def _iterated(given: Any) -> AsyncIterator[Any]:
    if hasattr(given, "__aiter__"):
        async for it in given:
            yield it
        return
    for it in given:
        yield it
