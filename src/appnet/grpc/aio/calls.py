"""Calls of a client of ``grpc.aio``, as their callers have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any

import grpc

from appnet.grpc.metadata import Metadata, listed
from appnet.grpc.passage import Ended, Passage, unreadable

_LOCALLY = "Locally cancelled by application!"


def error_of(ended: Ended) -> grpc.aio.AioRpcError:
    """The error of a call that the chain refused."""
    return _error(ended.code, ended.details, [], ended.trailing)


def _error(code: Any, details: Any, leading: Metadata, trailing: Metadata) -> Any:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(*leading), grpc.aio.Metadata(*trailing), details=details)


class _Ending:
    """How a call ended for its caller: with a status, and metadata as the chain has made them."""

    def __init__(self, code: Any, details: Any, leading: Metadata, trailing: Metadata, response: Any = None) -> None:
        self.code, self.details, self.response = code, details, response
        self.leading, self.trailing = leading, trailing

    def raise_error(self) -> None:
        """Raises what the status stands for."""
        if self.code is not grpc.StatusCode.OK:
            raise _error(self.code, self.details, self.leading, self.trailing)


def _ending_of(ended: Ended) -> _Ending:
    return _Ending(ended.code, ended.details, ended.leading, ended.trailing, ended.response)


class JudgedCall:
    """What both kinds of calls have. The call behind it is made by a task."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._ending: _Ending | None = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._making: asyncio.Task[Any]

    def __del__(self) -> None:
        self._passage.end()

    def go(self, making: Coroutine[Any, Any, Any]) -> None:
        """Begins to make the call behind it."""
        self._making = asyncio.get_running_loop().create_task(making)

    async def begun(self) -> Any:
        """The call, once its caller may have it. Requests that come one by one come only after that."""
        if not self._passage.method.request.streams:
            try:
                await asyncio.shield(self._making)
            except Ended:
                await self._call()
            except asyncio.CancelledError:
                self.cancel()
                raise
        return self

    def stop(self) -> None:
        """Ends the call behind it, as the chain has ended this one."""
        if self._making.done() and not self._making.cancelled() and self._making.exception() is None:
            self._making.result().cancel()

    async def _call(self) -> Any:
        """The call behind it; None where there is none, and the ending says why."""
        if self._ending is None:
            try:
                return await asyncio.shield(self._making)
            except Ended as ended:
                self._end(_ending_of(ended))
            except asyncio.CancelledError:
                if not self._making.cancelled():
                    raise
                self._end(_Ending(grpc.StatusCode.CANCELLED, _LOCALLY, [], []))
        return None

    def _made(self) -> Any:
        making = self._making
        return making.result() if making.done() and not making.cancelled() and making.exception() is None else None

    def _end(self, ending: _Ending) -> None:
        self._passage.end()
        if self._ending is None:
            self._ending = ending
            for it in self._callbacks:
                it(self)

    async def _finish(self, call: Any, error: Any) -> None:
        """Shows the chain how the call behind ended: with an error, or None."""
        passage = self._passage
        code = error.code() if error is not None else grpc.StatusCode.OK
        leading, trailing = await self._metadata(call, last=True)
        try:
            await passage.soon(passage.finish_with, code.value[0], leading, trailing)
        except Ended as ended:
            self._end(_ending_of(ended))
            return
        if not passage.judge.wants_response_metadata:
            leading, trailing = listed(await call.initial_metadata()), listed(await call.trailing_metadata())
            self._end(_Ending(code, await call.details(), leading, trailing))
        else:
            self._end(_Ending(code, await call.details(), passage.header, passage.trailer))

    async def _metadata(self, call: Any, *, last: bool) -> tuple[Metadata, Metadata]:
        """What elements may see of the response's."""
        if not self._passage.judge.wants_response_metadata:
            return [], []
        return listed(await call.initial_metadata()), listed(await call.trailing_metadata()) if last else []

    # --- as a call ---

    def cancel(self) -> bool:
        """Whether it could be."""
        if self._ending is not None:
            return False
        if not self._making.done():
            self._making.cancel()
            self._cancelled()
            return True
        call = self._made()
        found = call is not None and bool(call.cancel())
        if found:
            self._cancelled()
        return found

    def _cancelled(self) -> None:
        self._passage.left_by_caller()
        self._end(_Ending(grpc.StatusCode.CANCELLED, _LOCALLY, [], []))

    def cancelled(self) -> bool:
        """Whether its caller ended it."""
        return self._ending is not None and self._ending.code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Whether it has ended."""
        return self._ending is not None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls it with this when the call has ended."""
        if self._ending is not None:
            callback(self)
        else:
            self._callbacks.append(callback)

    def time_remaining(self) -> Any:
        """In seconds; None where it has no end."""
        call = self._made()
        return self._passage.left() if call is None else call.time_remaining()

    async def initial_metadata(self) -> Any:
        """As the chain made them."""
        call = await self._call() if self._ending is None else None
        return await call.initial_metadata() if call is not None else grpc.aio.Metadata(*self._last().leading)

    async def trailing_metadata(self) -> Any:
        """As the chain made them."""
        await self._wait()
        return grpc.aio.Metadata(*self._last().trailing)

    async def code(self) -> Any:
        """Waits for the end of the call."""
        await self._wait()
        return self._last().code

    async def details(self) -> Any:
        """Waits for the end of the call."""
        await self._wait()
        return self._last().details

    async def debug_error_string(self) -> Any:
        """What gRPC says of the call behind."""
        call = await self._call()
        return await call.debug_error_string() if call is not None else ""

    async def wait_for_connection(self) -> None:
        """Until the call behind has one."""
        call = await self._call()
        if call is not None:
            await call.wait_for_connection()

    def _last(self) -> _Ending:
        assert self._ending is not None
        return self._ending

    async def _wait(self) -> None:
        """Until it has ended."""
        raise NotImplementedError

    # --- requests: gRPC's own call brings them here as an iterator ---

    @property
    def _done_writing_flag(self) -> bool:
        return False

    async def write(self, request: Any) -> None:
        """Requests come by the iterator."""
        del request
        raise grpc.aio.UsageError

    async def done_writing(self) -> None:
        """Requests come by the iterator."""
        raise grpc.aio.UsageError


class UnaryCall(JudgedCall, grpc.aio.UnaryUnaryCall, grpc.aio.StreamUnaryCall):  # type: ignore[misc]
    """A call that has one response."""

    def __init__(self, passage: Passage) -> None:
        super().__init__(passage)
        self._judging: asyncio.Task[Any] | None = None

    def go(self, making: Coroutine[Any, Any, Any]) -> None:
        """Begins to make the call behind it, and to wait for what comes."""
        super().go(making)
        self._judging = asyncio.get_running_loop().create_task(self._judge())
        self._judging.add_done_callback(_seen)

    def cancel(self) -> bool:
        """Whether it could be."""
        found = super().cancel()
        if found and self._judging is not None:
            self._judging.cancel()
        return found

    async def _judge(self) -> None:
        call = await self._call()
        if call is None:
            return
        passage = self._passage
        try:
            response = await call
        except grpc.aio.AioRpcError as error:
            await self._finish(call, error)
            return
        except asyncio.CancelledError:
            if passage.ended is None:
                call.cancel()
                self._cancelled()
                raise
            response = None  # the chain has ended the call while requests went on
        if passage.ended is not None:
            self._end(_ending_of(passage.ended))
            return
        leading, trailing = await self._metadata(call, last=True)
        try:
            response = await passage.soon(passage.respond_own, response, leading, trailing)
        except Ended as ended:
            self._end(_ending_of(ended))
            return
        except Exception as error:
            self._end(_ending_of(unreadable(error)))
            return
        if not passage.judge.wants_response_metadata:
            passage.header = listed(await call.initial_metadata())
            passage.trailer = listed(await call.trailing_metadata())
        self._end(_Ending(grpc.StatusCode.OK, await call.details(), passage.header, passage.trailer, response))

    async def _finish(self, call: Any, error: Any) -> None:
        if self._passage.ended is not None:
            self._end(_ending_of(self._passage.ended))
        else:
            await super()._finish(call, error)

    async def _wait(self) -> None:
        assert self._judging is not None
        if self._ending is None:
            try:
                await asyncio.shield(self._judging)
            except asyncio.CancelledError:
                if not self._judging.cancelled():
                    raise

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            yield from self._wait().__await__()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self.cancelled():
            raise asyncio.CancelledError
        self._last().raise_error()
        return self._last().response


def _seen(task: asyncio.Task[Any]) -> None:
    """What a task raised is told by its call, so nobody needs to fetch it."""
    if not task.cancelled():
        task.exception()


class StreamCall(JudgedCall, grpc.aio.UnaryStreamCall, grpc.aio.StreamStreamCall):  # type: ignore[misc]
    """A call that has a stream of responses."""

    def __init__(self, passage: Passage) -> None:
        super().__init__(passage)
        self._responses: AsyncIterator[Any] | None = None
        self._leading: Metadata | None = None  # as elements have changed them
        self._early: Metadata = []  # trailers that elements set before they came
        self._over = asyncio.Event()

    def go(self, making: Coroutine[Any, Any, Any]) -> None:
        """Begins to make the call behind it."""
        super().go(making)
        self._making.add_done_callback(_seen)

    def _end(self, ending: _Ending) -> None:
        super()._end(ending)
        self._over.set()

    async def _wait(self) -> None:
        """Until its responses have been read, or the call behind has ended otherwise."""
        call = await self._call()
        if call is None or self._ending is not None:
            return
        code = await call.code()
        if code is grpc.StatusCode.OK:
            await self._over.wait()
        elif self._ending is None:
            await self._ended_by(call, await self._error(call))

    async def _error(self, call: Any) -> Any:
        leading, trailing = listed(await call.initial_metadata()), listed(await call.trailing_metadata())
        return _error(await call.code(), await call.details(), leading, trailing)

    async def _metadata(self, call: Any, *, last: bool) -> tuple[Metadata, Metadata]:
        leading, came = await super()._metadata(call, last=last)
        keys = {key for key, _ in self._early}
        return self._leading if self._leading is not None else leading, [
            it for it in came if it[0] not in keys
        ] + self._early

    async def initial_metadata(self) -> Any:
        """As the chain made them, once it has seen a response."""
        if self._leading is not None:
            return grpc.aio.Metadata(*self._leading)
        return await super().initial_metadata()

    async def _ended_by(self, call: Any, error: Any) -> None:
        if self._passage.ended is not None:
            self._end(_ending_of(self._passage.ended))
        else:
            await self._finish(call, error)

    async def _judged(self) -> AsyncIterator[Any]:
        call = await self._call()
        if call is not None:
            try:
                async for response in call:
                    out = await self._respond(call, response)
                    if self._ending is not None:
                        break
                    yield out
                else:
                    await self._ended_by(call, None)
            except grpc.aio.AioRpcError as error:
                await self._ended_by(call, error)
            except asyncio.CancelledError:
                if self._passage.ended is None:
                    self.cancel()
                    raise
                self._end(_ending_of(self._passage.ended))
        ending = self._last()
        ending.raise_error()
        if ending.response is not None:
            yield ending.response

    async def _respond(self, call: Any, response: Any) -> Any:
        passage = self._passage
        try:
            response = await passage.soon(passage.respond_own, response, *await self._metadata(call, last=False))
        except Ended as ended:
            call.cancel()
            self._end(_ending_of(passage.ended or ended))
            return None
        if passage.changed:
            self._leading, self._early = passage.header, passage.trailer
        return response

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._responses is None:
            self._responses = self._judged()
        return self._responses

    async def read(self) -> Any:
        """The next response, or `grpc.aio.EOF`."""
        try:
            return await anext(self.__aiter__())
        except StopAsyncIteration:
            return grpc.aio.EOF
