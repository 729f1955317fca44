"""Calls of a server by gRPC's blocking interface, on their way through chains to their handlers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import grpc

from appnet.grpc.context import Aborted, BlockingContext
from appnet.grpc.ends import End
from appnet.grpc.metadata import listed
from appnet.grpc.passage import Ended, Judge, Passage

Behaviour = Callable[[Any, Any], Any]

_UNKNOWN = 2
_NO_END = 1e9  # seconds: gRPC's way to say that a call has no deadline


class ServerInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Runs calls through the chains of an end."""

    def __init__(self, end: End) -> None:
        self._end = end

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The handler, with the chains in front. What they are is found out by the call's own thread: this one serves
        all calls."""
        handler = continuation(handler_call_details)
        return None if handler is None else through_chains(self._end, handler_call_details.method, handler)


def through_chains(end: End, path: str, handler: Any) -> Any:
    """A handler with the chains of a method in front."""
    if handler.request_streaming:
        behaviour = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary
    run = _run_streams if handler.response_streaming else _run_unary

    def judged(given: Any, context: Any) -> Any:
        return _layered(end, path, handler, behaviour, run)(given, context)

    def judged_each(given: Any, context: Any) -> Iterator[Any]:
        yield from _layered(end, path, handler, behaviour, run)(given, context)

    return remade(handler, judged_each if handler.response_streaming else judged)


def remade(handler: Any, behaviour: Any) -> Any:
    """The handler with another behaviour."""
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = makers[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


def timeout_of(context: Any) -> float | None:
    """The seconds that a call has."""
    left: float | None = context.time_remaining()
    return None if left is None or left > _NO_END else left


def passage_of(judge: Judge, context: Any) -> Passage:
    """The way of a call through a chain."""
    return Passage(judge, listed(context.invocation_metadata()), timeout=timeout_of(context), peer=context.auth_context)


def _layered(end: End, path: str, handler: Any, behaviour: Behaviour, run: Any) -> Behaviour:
    def first(given: Any, context: Any) -> Any:
        try:
            judges = end.judges(path, timeout_of(context))
        except Ended as ended:
            context.abort(ended.code, ended.details)
            raise
        return _nested(judges, handler, behaviour, run)(given, context)

    return first


def _nested(judges: Sequence[Judge], handler: Any, behaviour: Behaviour, run: Any) -> Behaviour:
    if not judges:
        return behaviour
    inner = _nested(judges[1:], handler, behaviour, run)
    return lambda given, context: run(judges[0], handler, inner, given, context)


def _begun(passage: Passage, handler: Any, given: Any) -> Any:
    """The request, or the requests, as far as the chain is to see them before the handler runs. Raises `Ended`."""
    if not handler.request_streaming:
        given = passage.begin(given)
    else:
        passage.open()
        requests = iter(given)
        held: list[Any] = []
        if passage.method.request.holds:
            held = [passage.request(it) for it in itertools.islice(requests, 1)]
            if not held:
                passage.request(None)
        given = itertools.chain(held, _requests(passage, requests))
    if passage.wait:
        left = passage.left()
        time.sleep(passage.wait if left is None else min(passage.wait, left))
        if passage.left() == 0:
            raise late()
    passage.sent()
    return given


def late() -> Ended:
    """The end of a call whose time has passed."""
    return Ended(grpc.StatusCode.DEADLINE_EXCEEDED.value[0], b"Deadline Exceeded")


def check(passage: Passage) -> None:
    """Raises `Ended` where the chain has ended the call, or its time has passed."""
    if passage.ended is not None:
        raise passage.ended
    if passage.is_late:
        raise late()


def _requests(passage: Passage, requests: Iterator[Any]) -> Iterable[Any]:
    for it in requests:
        yield passage.request(it)
    if passage.is_unasked:
        passage.request(None)


def _run_unary(judge: Judge, handler: Any, behaviour: Behaviour, given: Any, context: Any) -> Any:
    passage = passage_of(judge, context)
    held = BlockingContext(context, passage)
    try:
        try:
            response = behaviour(_begun(passage, handler, given), held)
            return _responded(passage, held, response)
        except Ended as ended:
            return held.end_with(held.ending(ended))
        except Aborted:
            return _aborted(passage, held)
        except Exception:
            end = _failed(passage, held)
            if end is None:
                raise
            return held.end_with(end)
    finally:
        passage.end()


def _responded(passage: Passage, held: BlockingContext, response: Any) -> Any:
    """A handler's response, as the chain lets it go. Raises `Ended`."""
    check(passage)
    if held.number:
        passage.finish_with(held.number, held.header, held.trailer)
    else:
        response = passage.respond(response, held.header, held.trailer)
    held.take()
    held.release()
    held.leave()
    return response


def _aborted(passage: Passage, held: BlockingContext) -> Any:
    """The handler has ended the call."""
    ended = passage.ended or held.told(held.number)
    return held.end_as_told() if ended is None else held.end_with(ended)


def _failed(passage: Passage, held: BlockingContext) -> Ended | None:
    """The handler has failed: gRPC says so, unless the chain has ended the call before, or says something else."""
    ended = passage.ended or (held.ending(late()) if passage.is_late else held.told(_UNKNOWN))
    if ended is None:
        held.release()
        held.leave()
    return ended


def _run_streams(judge: Judge, handler: Any, behaviour: Behaviour, given: Any, context: Any) -> Iterator[Any]:
    passage = passage_of(judge, context)
    held = BlockingContext(context, passage)
    context.add_callback(passage.end)  # a call that is cut short is read no further
    try:
        answer = yield from _streamed(passage, held, handler, behaviour, given)
        if answer is not None:
            yield answer
    finally:
        passage.end()


def _streamed(
    passage: Passage, held: BlockingContext, handler: Any, behaviour: Behaviour, given: Any
) -> Generator[Any, None, Any]:
    """The responses, as the chain lets them go, and at last its answer in their place, if any."""
    try:
        for response in behaviour(_begun(passage, handler, given), held):
            check(passage)
            out = passage.respond(response, held.header, held.trailer)
            held.take()
            held.release()
            yield out
        check(passage)
        passage.finish_with(held.number, held.header, held.trailer)
        held.take()
        held.release()
        held.leave()
    except Ended as ended:
        return held.end_with(held.ending(ended))
    except Aborted:
        return _aborted(passage, held)
    except Exception:
        end = _failed(passage, held)
        if end is None:
            raise
        return held.end_with(end)
    return None
