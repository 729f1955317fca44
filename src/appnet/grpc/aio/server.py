"""Calls of a server of ``grpc.aio``, on their way through chains to their handlers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc

from appnet.grpc.context import Aborted, HeldContext
from appnet.grpc.ends import End
from appnet.grpc.passage import Ended, Judge, Passage
from appnet.grpc.server import late, passage_of, remade, through_chains, timeout_of

Behaviour = Callable[[Any, Any], Any]
_UNKNOWN = 2


class ServerInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Runs calls through the chains of an end."""

    def __init__(self, end: End) -> None:
        self._end = end

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler, with the chains in front. It stays of its kind: gRPC runs a coroutine, an asynchronous generator
        and a plain function, which has a thread, in ways of their own."""
        handler = await continuation(details)
        if handler is None:
            return None
        path = details.method.decode() if isinstance(details.method, bytes) else details.method
        if handler.request_streaming:
            behaviour = handler.stream_stream if handler.response_streaming else handler.stream_unary
        else:
            behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary
        if inspect.isasyncgenfunction(behaviour):
            return remade(handler, self._generating(path, handler, behaviour))
        if inspect.iscoroutinefunction(behaviour):
            return remade(handler, self._awaited(path, handler, behaviour))
        return through_chains(self._end, path, handler)

    async def _judges(self, path: str, context: Any) -> Sequence[Judge]:
        try:
            return await self._end.judges_soon(path, timeout_of(context))
        except Ended as ended:
            await context.abort(ended.code, ended.details)
            raise

    def _generating(self, path: str, handler: Any, behaviour: Behaviour) -> Behaviour:
        async def judged(given: Any, context: Any) -> AsyncIterator[Any]:
            async for it in _generated(await self._judges(path, context), handler, behaviour)(given, context):
                yield it

        return judged

    def _awaited(self, path: str, handler: Any, behaviour: Behaviour) -> Behaviour:
        async def judged(given: Any, context: Any) -> Any:
            return await _awaiting(await self._judges(path, context), handler, behaviour)(given, context)

        return judged


class AioContext(HeldContext):
    """That of a handler in a loop, which may read and write messages by it."""

    def __init__(self, context: Any, passage: Passage) -> None:
        super().__init__(context, passage)
        self.held: list[Any] = []

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Goes with the first response."""
        if not self.hold(initial_metadata):
            await self._context.send_initial_metadata(initial_metadata)

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> None:
        """Ends the call with this status, for what the chain makes of it."""
        self.status, self.text = code, details or self.text
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        raise Aborted

    async def abort_with_status(self, status: Any) -> None:
        """Ends the call with this status, for what the chain makes of it."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    async def read(self) -> Any:
        """The next request, as the chain lets it go, or `grpc.aio.EOF`."""
        if self.held:
            return self.held.pop(0)
        message = await self._context.read()
        if message is grpc.aio.EOF:
            for _ in range(2):  # a call that is cut short ends its requests before it is cancelled: let that come
                await asyncio.sleep(0)
            if self._passage.is_unasked:
                await self._passage.soon(self._passage.request, None)
            return message
        return await self._passage.soon(self._passage.request, message)

    async def write(self, message: Any) -> None:
        """Sends a response, as the chain lets it go."""
        await self._context.write(await self.respond(message))

    async def respond(self, message: Any) -> Any:
        """A response, as the chain lets it go."""
        out = await self._passage.soon(self._passage.respond, message, self.header, self.trailer)
        self.take()
        await self.release()
        return out

    async def release(self) -> None:
        """Lets the leading metadata go on."""
        header = self.unsent()
        if header:
            await self._context.send_initial_metadata(tuple(header))

    async def end_with(self, ended: Ended) -> Any:
        """Ends the call as the chain has: the answer, or gRPC's exception."""
        if ended.answers:
            if ended.leading:
                await self._context.send_initial_metadata(tuple(ended.leading))
            self._context.set_trailing_metadata(tuple(ended.trailing))
            return ended.response
        await self.release()
        self._context.set_trailing_metadata(tuple(self.refused(ended)))
        await self._context.abort(ended.code, ended.details)
        return None

    async def end_as_told(self) -> None:
        """Ends the call with the handler's own status."""
        await self.release()
        self._context.set_trailing_metadata(tuple(self.trailer))
        await self._context.abort(self.status, self.text)


grpc.aio.ServicerContext.register(AioContext)  # handlers' decorators may ask what they have


def _awaiting(judges: Sequence[Judge], handler: Any, behaviour: Behaviour) -> Behaviour:
    if not judges:
        return behaviour
    inner = _awaiting(judges[1:], handler, behaviour)
    return lambda given, context: _run(judges[0], handler, inner, given, context)


def _generated(judges: Sequence[Judge], handler: Any, behaviour: Behaviour) -> Behaviour:
    if not judges:
        return behaviour
    inner = _generated(judges[1:], handler, behaviour)
    return lambda given, context: _run_generator(judges[0], handler, inner, given, context)


async def _begun(passage: Passage, handler: Any, given: Any, context: AioContext) -> Any:
    """The request, or the requests, as far as the chain is to see them before the handler runs. Raises `Ended`."""
    if not handler.request_streaming:
        given = await passage.soon(passage.begin, given)
    else:
        await passage.soon(passage.open)
        if passage.method.request.holds:
            first = await context.read()
            context.held = [] if first is grpc.aio.EOF else [first]
        given = _requests(context)
    if passage.wait:
        left = passage.left()
        await asyncio.sleep(passage.wait if left is None else min(passage.wait, left))
        if passage.left() == 0:
            raise late()
    passage.sent()
    return given


async def _requests(context: AioContext) -> AsyncIterator[Any]:
    while (message := await context.read()) is not grpc.aio.EOF:
        yield message


async def _run(judge: Judge, handler: Any, behaviour: Behaviour, given: Any, context: Any) -> Any:
    """A handler that returns its response, or writes responses."""
    passage = passage_of(judge, context)
    held = AioContext(context, passage)
    try:
        try:
            response = await _in_time(passage, behaviour(await _begun(passage, handler, given, held), held))
            return await _returned(passage, held, handler, response)
        except Exception as error:
            ended = await _ending(passage, held, error)
            if ended is None:
                raise
            answer = await held.end_with(ended)
        if handler.response_streaming:
            await context.write(answer)
            return None
        return answer
    finally:
        passage.end()


async def _returned(passage: Passage, held: AioContext, handler: Any, response: Any) -> Any:
    if passage.ended is not None:
        raise passage.ended
    if handler.response_streaming or held.number:
        await passage.soon(passage.finish_with, held.number, held.header, held.trailer)
        held.take()
        await held.release()
    else:
        response = await held.respond(response)
    held.leave()
    return response


async def _in_time(passage: Passage, running: Any) -> Any:
    """What a handler returns; it is cancelled at the deadline that elements have set."""
    if not passage.shortened:
        return await running
    try:
        return await asyncio.wait_for(running, passage.left())
    except TimeoutError:
        if passage.is_late:
            raise late() from None
        raise


async def _ending(passage: Passage, held: AioContext, error: Exception) -> Ended | None:
    """How the chain ends a call whose handler has raised something; None: it leaves the error to gRPC."""
    if isinstance(error, Ended):
        ended: Ended = await passage.soon(held.ending, error)
        return ended
    aborted = isinstance(error, Aborted)
    told: Ended | None = passage.ended or await passage.soon(held.told, held.number if aborted else _UNKNOWN)
    if told is None:
        if aborted:
            await held.end_as_told()
        await held.release()
        held.leave()
    return told


async def _run_generator(
    judge: Judge, handler: Any, behaviour: Behaviour, given: Any, context: Any
) -> AsyncIterator[Any]:
    """A handler that yields its responses."""
    passage = passage_of(judge, context)
    held = AioContext(context, passage)
    answer = None
    try:
        try:
            async for it in _timed(passage, behaviour(await _begun(passage, handler, given, held), held)):
                yield await held.respond(it)
            await _returned(passage, held, handler, None)
        except Exception as error:
            ended = await _ending(passage, held, error)
            if ended is None:
                raise
            answer = await held.end_with(ended)
        if answer is not None:
            yield answer
    finally:
        passage.end()


async def _timed(passage: Passage, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
    while True:
        try:
            it = await _in_time(passage, anext(responses))
        except StopAsyncIteration:
            return
        yield it
