"""A call's way through a chain: what becomes of its messages, whatever library carries them."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any

import grpc
from google.protobuf import message_factory

from appnet.grpc import chain as wants
from appnet.grpc.chain import Instance, Method, Side
from appnet.grpc.fields import Bound, Plan
from appnet.grpc.frame import (
    ANSWER,
    CANCELLED,
    NO_DEADLINE,
    OF_REPLY,
    OF_REQUEST,
    OF_RESPONSE,
    REFUSE,
    REQUEST_METADATA,
    RESPONSE_METADATA,
    RESPONSE_TRAILERS,
    TRACED_AS_TOLD,
    TRACED_DRAWN,
    Call,
)
from appnet.grpc.metadata import Metadata, edited, entries, identity, offer, offer_new, timeout_text

CODES = {it.value[0]: it for it in grpc.StatusCode}
_AUTHORITY = ":authority"
_MOST_WAITING = 64
_TRACE = frozenset({"traceparent", "x-b3-traceid", "b3"})
_CONTEXT = _TRACE | {"x-b3-spanid", "x-b3-sampled", "x-b3-flags", "x-request-id"}
"""The trace that a request is part of, and its caller's ID of it: spans and explanations of refusals name them."""


class Ended(Exception):  # noqa: N818 -- an answer is no error
    """The chain ended the call: with a status, or with an answer."""

    def __init__(
        self,
        code: int,
        text: bytes = b"",
        *,
        trailing: Metadata | None = None,
        leading: Metadata | None = None,
        response: Any = None,
    ) -> None:
        super().__init__(text)
        self.number, self.code = code, CODES.get(code, grpc.StatusCode.UNKNOWN)
        self.text, self.details = text, text.decode("utf-8", "replace")
        self.trailing, self.leading = trailing or [], leading or []
        self.response = response

    @property
    def answers(self) -> bool:
        """Whether it is an answer."""
        return self.response is not None


def unreadable(error: Exception) -> Ended:
    """The end of a call with a message that elements have to read, or have written, and that cannot be so."""
    return Ended(grpc.StatusCode.INTERNAL.value[0], f"appnet: {error}".encode())


class Judge:
    """A method of a chain, as calls pass it. ``clock``: gives the nanoseconds of now and of the time of day.

    ``traces``: of the calls whose callers do not decide, so many of 2^32 - 1 are traced; None: no call is."""

    def __init__(
        self,
        instance: Instance,
        method: Method,
        *,
        server: bool,
        clock: Callable[[], tuple[int, int]] | None = None,
        traces: int | None = None,
    ) -> None:
        self.instance, self.method, self.server = instance, method, server
        self.traces = traces
        self.wants = instance.chain.wants
        if instance.carrier is not None:
            self.wants |= wants.WANTS_CLOCK  # of writes that are merged, and of calls that wait
        self.request, self.response, self.reply = Plan(method.request), Plan(method.response), Plan(method.reply)
        self.clock = clock or _clock
        self.waits = instance.waits

    @property
    def wants_response_metadata(self) -> bool:
        """Whether elements look at the metadata of responses, or change them."""
        return bool(self.wants & wants.WANTS_RESPONSE_METADATA)


def _clock() -> tuple[int, int]:
    return time.monotonic_ns(), time.time_ns()


@cache
def waiting() -> ThreadPoolExecutor:
    """The threads of events that wait for the store where their caller may not. What waits longer than calls do is no
    event of theirs."""
    return ThreadPoolExecutor(_MOST_WAITING, "appnet")


class Passage:
    """A call on its way. Its messages may come from several threads; it ends once, in whatever way.

    ``metadata``: the request's, as elements have made it. ``authority``: whom the caller addressed. ``timeout``: the
    seconds that the call has, if any. ``peer``: gives gRPC's ``auth_context()``.
    """

    def __init__(
        self,
        judge: Judge,
        metadata: Metadata,
        *,
        authority: str = "",
        timeout: float | None = None,
        peer: Callable[[], dict[str, Sequence[bytes]]] | None = None,
        response_class: Any = None,
    ) -> None:
        self.judge, self.method = judge, judge.method
        self.metadata, self._peer = metadata, peer
        self._authority = authority.encode()
        self._until = None if timeout is None else time.monotonic() + timeout
        self._response_class = response_class
        self._pool: Any = None
        self._call = Call(judge.instance, judge.method)
        self._lock = threading.RLock()
        self.ended: Ended | None = None
        self.size = 0  # of the next message, where somebody knows how it came
        self.over = self.asked = self.judged = False
        self.wait = 0.0
        self.deadline_ns: int | None = None
        self.destination = -1
        self._status = CANCELLED  # as the caller has it, so far
        self.changed = False  # the last event changed metadata of the response
        self._left = False  # by its caller: the event of that ends it
        self._metadata_goes = True  # what elements make of the request's metadata still reaches somebody

    # --- the request ---

    def open(self) -> None:
        """Judges the beginning of a call whose messages come one by one. Raises `Ended`."""
        with self._lock:
            self._offer_request()
            self._goes_on(self._call.open(), None, None)

    def begin(self, message: Any) -> Any:
        """Judges the beginning and the only request of a call; what goes on, a copy where it is another."""
        with self._lock:
            self.asked = True
            bound = self._fill(self.judge.request, message)
            self._offer_request()
            return self._goes_on(self._call.begin(), bound, message)

    def request(self, message: Any) -> Any:
        """Judges a message of a stream, None: that there is none; what goes on. Raises `Ended`."""
        with self._lock:
            self._is_under_way()
            self.asked = True
            if self.method.request.empty:
                return message
            bound = None
            if message is None:
                self._call.next()
                self._call.fields(len(self.method.request.fields))
            else:
                bound = self._fill(self.judge.request, message)
            self._offer_request()
            return self._goes_on(self._call.request(), bound, message)

    @property
    def is_unasked(self) -> bool:
        """Whether a stream of requests has had no message yet: it is judged all the same before it ends."""
        return not self.asked and self.method.request.streams

    def sent(self) -> None:
        """The request's metadata have gone on."""
        self._metadata_goes = False

    def left(self) -> float | None:
        """The seconds that the call has by what the elements and the caller say; None: no end."""
        found = [] if self._until is None else [self._until - time.monotonic()]
        if self.deadline_ns is not None:
            found.append((self.deadline_ns - self.judge.clock()[0]) / 1e9)
        return max(min(found), 0.0) if found else None

    @property
    def shortened(self) -> bool:
        """Whether elements have given the call less time."""
        return self.deadline_ns is not None

    @property
    def is_late(self) -> bool:
        """Whether the time that elements gave it has passed."""
        return self.deadline_ns is not None and self.judge.clock()[0] >= self.deadline_ns

    def _is_under_way(self) -> None:
        if self.ended is not None:
            raise self.ended
        if self.over:
            raise Ended(CANCELLED, b"the call is over")

    def _fill(self, plan: Plan, message: Any) -> Bound | None:
        call = self._call
        call.next()
        if self._pool is None and hasattr(message, "DESCRIPTOR"):
            self._pool = message.DESCRIPTOR.file.pool
        size, self.size = self.size, 0
        if not size and self.judge.wants & wants.WANTS_SIZE and hasattr(message, "ByteSize"):
            size = message.ByteSize()
        call.size = size
        try:
            return plan.fill(call, message)
        except ValueError as error:
            raise self._end(unreadable(error)) from None

    def _end(self, ended: Ended) -> Ended:
        if self.ended is None:
            self.ended = ended
            self._status = ended.number
        return self.ended

    def _goes_on(self, verdict: int, bound: Bound | None, message: Any) -> Any:
        call = self._call
        if call.edited and self._metadata_goes:
            self.metadata = edited(self.metadata, call.edits(), REQUEST_METADATA)
        self.wait, self.destination = call.wait_ms / 1000, call.destination
        self.deadline_ns = None if call.deadline_ns == NO_DEADLINE else call.deadline_ns
        if verdict == REFUSE:
            raise self._refusal()
        if verdict == ANSWER:
            raise self._answer()
        return self._as_left(bound, message, OF_REQUEST)

    def _refusal(self) -> Ended:
        call = self._call
        return self._end(Ended(call.code, call.text, trailing=entries(call.own())))

    def _answer(self) -> Ended:
        call, leading, trailing = self._call, entries(self._call.own()), entries(self._call.trailers())
        try:
            response = self._response_type()()
            self.judge.reply.bind(response).apply(call, call.reply, OF_REPLY, response)
            self.judge.response.bind(response).apply(call, call.slots, OF_RESPONSE, response)
        except (ValueError, MemoryError) as error:
            return self._end(unreadable(error))
        return self._end(Ended(0, leading=leading, trailing=trailing, response=response))

    def _response_type(self) -> Any:
        if self._response_class is not None:
            return self._response_class
        _, service, name = self.method.path.split("/")
        try:
            method = self._pool.FindServiceByName(service).methods_by_name[name]
        except (AttributeError, KeyError):
            raise ValueError(f"the response's type of {self.method.path} is not known to the program") from None
        return message_factory.GetMessageClass(method.output_type)

    def _as_left(self, bound: Bound | None, message: Any, part: int, *, own: bool = False) -> Any:
        """The message as handlers left it: a copy where they wrote to it, as whoever gave it may share it."""
        if not self._call.touched or bound is None:
            return message
        out = message
        if not own:
            out = type(message)()
            out.CopyFrom(message)
        try:
            bound.apply(self._call, self._call.slots, part, out)
        except (ValueError, MemoryError) as error:
            raise self._end(unreadable(error)) from None
        return out

    # --- the response ---

    def respond(self, message: Any, header: Metadata, trailer: Metadata, *, own: bool = False) -> Any:
        """Judges a response, or a message of a stream of them; what goes on. ``own``: nobody else has the message.

        `header` and `trailer` are as the last event left them then. Raises `Ended`."""
        with self._lock:
            self._is_under_way()
            self.header, self.trailer, self.changed = header, trailer, False
            if not self.method.response.streams:
                self._status = 0
            if self.method.response.empty or self.judged:
                return message
            self.judged = not self.method.response.streams
            bound = self._fill(self.judge.response, message)
            self._offer_response()
            self._responded(self._call.response())
            return self._as_left(bound, message, OF_RESPONSE, own=own)

    def respond_own(self, message: Any, header: Metadata, trailer: Metadata) -> Any:
        """As `respond`, of a message that nobody else has."""
        return self.respond(message, header, trailer, own=True)

    def finish_with(self, code: int, header: Metadata, trailer: Metadata) -> None:
        """Tells the chain how the responses ended; 0: well. Raises `Ended`."""
        with self._lock:
            if self.ended is not None:
                raise self.ended
            self.header, self.trailer, self.changed = header, trailer, False
            self._status = code
            response = self.method.response
            if self.over or self.judged or response.empty or (code == 0 and not response.streams):
                return
            self.judged = True
            self._call.next()
            self._offer_response()
            self._responded(self._call.end_response(code))

    def _responded(self, verdict: int) -> None:
        if verdict == REFUSE:
            raise self._refusal()
        if self._call.edited:
            edits = self._call.edits()
            self.changed = True
            self.header = edited(self.header, edits, RESPONSE_METADATA)
            self.trailer = edited(self.trailer, edits, RESPONSE_TRAILERS)

    def end(self) -> None:
        """The call is over, in whatever way. Nobody waits for an event of it that waits for the store."""
        if self._left:
            return
        if not self._lock.acquire(blocking=not self.judge.waits):
            waiting().submit(self._end_now)
            return
        try:
            self._end_now()
        finally:
            self._lock.release()

    def _end_now(self) -> None:
        with self._lock:
            if not self.over:
                self.over = True
                self._tick()
                self._call.end(self._status)

    async def soon(self, event: Callable[..., Any], *given: Any) -> Any:
        """What an event gives, for whoever must not hold up a loop: it may wait for the store."""
        if not self.judge.waits:
            return event(*given)
        return await asyncio.get_running_loop().run_in_executor(waiting(), event, *given)

    def left_by_caller(self) -> None:
        """Its caller has ended the call, and is told its own way."""
        self._left = True

        def tell() -> None:
            with suppress(Ended):
                self.finish_with(CANCELLED, [], [])
            self._end_now()

        if self.judge.waits:
            waiting().submit(tell)
        else:
            tell()

    # --- what elements may ask for ---

    def _tick(self) -> None:
        if self.judge.wants & wants.WANTS_CLOCK:
            self._call.now_ns, self._call.wall_ns = self.judge.clock()

    def _offer_request(self) -> None:
        call, wanted = self._call, self.judge.wants
        self._tick()
        if wanted & wants.WANTS_REQUEST_METADATA:
            offer(call, REQUEST_METADATA, self.metadata)
            offer_new(call, REQUEST_METADATA, self.metadata, "content-type", b"application/grpc")
            offer_new(call, REQUEST_METADATA, self.metadata, "te", b"trailers")
        self._offer_authority()
        self._offer_context(self.method.request)
        if wanted & wants.WANTS_TIMEOUT and self._until is not None:
            call.add_metadata(REQUEST_METADATA, b"grpc-timeout", timeout_text(self._until - time.monotonic()))
        if wanted & wants.WANTS_PEER and self._peer is not None:
            call.set_peer(identity(self._peer()))
            self._peer = None  # the call remembers

    def _offer_authority(self) -> None:
        if self.judge.wants & wants.WANTS_AUTHORITY and self._authority:
            self._call.add_metadata(REQUEST_METADATA, _AUTHORITY.encode(), self._authority)

    def _offer_context(self, side: Side) -> None:
        """At an event of a side; before the first one, says what is to be made of the trace."""
        judge, call = self.judge, self._call
        first = not call.begun
        if judge.traces is None or not (first or side.holds or call.traced):
            return
        found = [it for it in self.metadata if it[0] in _CONTEXT]
        if first and judge.traces and random.getrandbits(32) <= judge.traces:
            call.trace(TRACED_DRAWN)
        elif first and any(key in _TRACE for key, _ in found):
            call.trace(TRACED_AS_TOLD)
        if side is not self.method.request or not judge.wants & wants.WANTS_REQUEST_METADATA:
            offer(call, REQUEST_METADATA, found)

    def _offer_response(self) -> None:
        call = self._call
        self._tick()
        if self.judge.wants_response_metadata:
            offer(call, RESPONSE_METADATA, self.header)
            offer_new(call, RESPONSE_METADATA, self.header, "content-type", b"application/grpc")
            offer(call, RESPONSE_TRAILERS, self.trailer)
        self._offer_authority()
        self._offer_context(self.method.response)
