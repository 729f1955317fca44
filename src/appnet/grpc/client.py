"""Calls of a client by gRPC's blocking interface, on their way through chains."""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc

from appnet.grpc.calls import UnaryCall
from appnet.grpc.ends import End
from appnet.grpc.metadata import listed
from appnet.grpc.outcome import outcome_of
from appnet.grpc.passage import Ended, Judge, Passage
from appnet.grpc.streams import StreamCall

Continuation = Callable[[Any, Any], Any]


class Details(
    collections.namedtuple(
        "Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")
    ),
    grpc.ClientCallDetails,  # type: ignore[misc]
):
    """Of a call, as chains left them."""


def changed_details(details: Any, passage: Passage) -> Any:
    """The details that the call goes on with."""
    return Details(
        details.method,
        passage.left() if passage.shortened else details.timeout,
        tuple(passage.metadata),
        getattr(details, "credentials", None),
        getattr(details, "wait_for_ready", None),
        getattr(details, "compression", None),
    )


class ClientInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
    grpc.StreamStreamClientInterceptor,  # type: ignore[misc]
):
    """Runs calls through the chains of an end."""

    def __init__(self, end: End) -> None:
        self._end = end

    def intercept_unary_unary(self, continuation: Continuation, details: Any, request: Any) -> Any:
        """A request and a response."""
        return self._through(continuation, details, request, UnaryCall)

    def intercept_stream_unary(self, continuation: Continuation, details: Any, request_iterator: Any) -> Any:
        """Requests and a response."""
        return self._through(continuation, details, request_iterator, UnaryCall)

    def intercept_unary_stream(self, continuation: Continuation, details: Any, request: Any) -> Any:
        """A request and responses."""
        return self._through(continuation, details, request, StreamCall)

    def intercept_stream_stream(self, continuation: Continuation, details: Any, request_iterator: Any) -> Any:
        """Requests and responses."""
        return self._through(continuation, details, request_iterator, StreamCall)

    def _through(self, continuation: Continuation, details: Any, given: Any, kind: Any) -> Any:
        try:
            judges = self._end.judges(details.method, details.timeout)
        except Ended as ended:
            call = kind(None)
            call.settle(outcome_of(ended))
            return call
        return self._nested(continuation, details, given, kind, judges)

    def _nested(self, continuation: Continuation, details: Any, given: Any, kind: Any, judges: Sequence[Judge]) -> Any:
        if not judges:
            return continuation(details, given)

        def inner(changed: Any, message: Any) -> Any:
            return self._nested(continuation, changed, message, kind, judges[1:])

        judge = judges[0]
        passage = Passage(
            judge, listed(details.metadata), timeout=details.timeout, authority=self._end.options.authority
        )
        call = kind(passage)
        _Way(passage, call, inner, details).go(given)
        return call


class _Way:
    """The way of a request through a chain, to the call behind it."""

    def __init__(self, passage: Passage, call: Any, continuation: Continuation, details: Any) -> None:
        self._passage, self._call, self._continuation, self._details = passage, call, continuation, details

    def go(self, given: Any) -> None:
        """Judges the request, or what can be judged of it at once, and makes the call."""
        passage = self._passage
        try:
            if not passage.method.request.streams and not _is_iterator(given):
                self._wait_and_make(passage.begin(given))
                return
            passage.open()
        except Ended as ended:
            self._call.settle(outcome_of(ended))
            return
        if passage.method.request.holds:
            self._later(0.0, lambda: self._go_with_first(iter(given)))
        else:
            self._wait_and_make(self._requests(iter(given)))

    def _go_with_first(self, requests: Iterator[Any]) -> None:
        """The headers go on when the first message has been judged."""
        passage = self._passage
        try:
            first = next(requests, _NOTHING)
            held = () if first is _NOTHING else (passage.request(first),)
            if first is _NOTHING:
                passage.request(None)
        except Ended as ended:
            self._call.settle(outcome_of(ended))
        except Exception as error:
            self._call.settle(outcome_of(Ended(2, f"Exception iterating requests: {error}".encode())))
        else:
            self._wait_and_make(itertools.chain(held, self._requests(requests)))

    def _wait_and_make(self, given: Any) -> None:
        seconds = self._passage.wait
        if seconds:
            left = self._passage.left()
            self._later(seconds if left is None else min(seconds, left), lambda: self._make(given))
        else:
            self._make(given)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        """Callers may want a future, so nothing waits in their thread."""
        timer = threading.Timer(seconds, work)
        timer.daemon = True
        self._call.waits_for(timer)
        timer.start()

    def _make(self, given: Any) -> None:
        passage = self._passage
        if passage.left() == 0:
            self._call.fail(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            return
        passage.sent()
        try:
            made = self._continuation(changed_details(self._details, passage), given)
        except BaseException:
            passage.end()
            raise
        self._call.follow(made)

    def _requests(self, requests: Iterator[Any]) -> Iterable[Any]:
        passage = self._passage
        try:
            for it in requests:
                yield passage.request(it)
            if passage.is_unasked:
                passage.request(None)
        except Ended:
            if not self._call.stop():
                raise  # gRPC ends the call, which nobody else can reach


_NOTHING = object()


def _is_iterator(given: Any) -> bool:
    return hasattr(given, "__next__") or (hasattr(given, "__iter__") and not hasattr(given, "DESCRIPTOR"))
