"""What users of gRPC know goes on: futures, callbacks, cancellation, their own interceptors, retries and compression."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from appnet.grpc import aio
from appnet.grpc.client import ClientInterceptor
from tests.grpc.service import (
    SECONDS,
    AsyncCaller,
    BlockingCaller,
    Loop,
    Place,
    Service,
    _multi,
    end_with,
    placed,
    request,
    serving,
    state,
    wait_for,
)  # fmt: skip
from tests.grpc.test_calls import file

Code = grpc.StatusCode


@pytest.fixture
def place(chains: Path, loop: Loop) -> Iterator[Place]:
    with placed("client", loop, file(chains, "calls", "client")) as it:
        yield it


def _method(place: Place) -> Any:
    return _multi(place.caller.channel, "UnaryCall")


def test_futures(place: Place) -> None:
    futures = {
        body: _method(place).future(request(body)) for body in (b"change", b"answer", b"refuse", b"wait", b"fail")
    }
    assert futures[b"change"].result(SECONDS).payload.body == b"changed"
    assert futures[b"wait"].result(SECONDS).payload.body == b"wait"
    assert futures[b"answer"].result(SECONDS).payload.body == b"made here"
    assert futures[b"refuse"].exception(SECONDS).code() is Code.ABORTED
    with pytest.raises(grpc.RpcError) as failed:
        futures[b"fail"].result(SECONDS)
    assert failed.value.code() is Code.FAILED_PRECONDITION
    done: list[Any] = []
    for it in futures.values():
        it.add_done_callback(done.append)
        assert it.done()
        assert not it.running()
    assert done == list(futures.values())


def test_a_future_does_not_hold_up_its_caller(place: Place) -> None:
    future = _method(place).future(request(b"slow"), timeout=SECONDS)
    assert not future.done()
    with pytest.raises(grpc.FutureTimeoutError):
        future.result(0.01)
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert future.cancel()
    assert done.wait(SECONDS)
    assert future.cancelled()
    with pytest.raises(grpc.FutureCancelledError):
        future.result()
    wait_for(lambda: "calls.ends = 1\n" in state(place.end), lambda: state(place.end))
    assert "calls.failed = 1\n" in state(place.end)


def test_a_call_is_cancelled_while_it_waits(place: Place) -> None:
    future = _method(place).future(request(b"wait"))
    future.cancel()
    assert future.cancelled()
    time.sleep(0.06)
    assert place.service.calls == 0


def test_an_asynchronous_call_is_cancelled(chains: Path, loop: Loop) -> None:
    """Its task is, and so is the call at the server; nothing swallows it."""
    with placed("client aio", loop, file(chains, "calls", "client")) as place:

        async def cancelled_by_task() -> None:
            async def called() -> None:
                await _multi(place.caller.channel, "UnaryCall")(request(b"slow"), timeout=SECONDS)

            task = asyncio.create_task(called())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        async def cancelled_by_call() -> None:
            call = _multi(place.caller.channel, "UnaryCall")(request(b"slow"), timeout=SECONDS)
            await asyncio.sleep(0.1)
            assert call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await call.code() is Code.CANCELLED
            assert call.cancelled()

        loop.run(cancelled_by_task())
        loop.run(cancelled_by_call())
        wait_for(lambda: "calls.ends = 2\n" in state(place.end), lambda: state(place.end))


class _Own(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, name: str, order: list[str]) -> None:
        self._name, self._order = name, order

    def _note(self, metadata: Any, body: bytes) -> None:
        self._order.append(f"{self._name} {body.decode()}{dict(metadata or ()).get('x-tenant', '')}")

    def intercept_unary_unary(self, continuation: Any, details: Any, given: Any) -> Any:
        self._note(details.metadata, given.payload.body)
        call = continuation(details, given)
        self._order.append(f"{self._name} {call.result().payload.body.decode()}")
        return call


class _OwnAio(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, name: str, order: list[str]) -> None:
        self._note, self._name, self._order = _Own(name, order)._note, name, order

    async def intercept_unary_unary(self, continuation: Any, details: Any, given: Any) -> Any:
        self._note(details.metadata, given.payload.body)
        call = await continuation(details, given)
        self._order.append(f"{self._name} {(await call).payload.body.decode()}")
        return call


@pytest.mark.parametrize(("kind", "own"), [("client", _Own), ("client aio", _OwnAio)])
def test_own_interceptors_work_before_and_after(kind: str, own: Any, chains: Path, loop: Loop) -> None:
    order: list[str] = []
    own_ones = {"before": [own("before", order)], "after": [own("after", order)]}
    with placed(kind, loop, file(chains, "calls", "client"), **own_ones) as place:
        assert place.caller.unary(b"change").bodies == [b"changed"]
    assert order == ["before change", "after changedof ", "after changed", "before changed"]


class _OwnServer(grpc.ServerInterceptor):  # type: ignore[misc]
    def __init__(self, name: str, order: list[str]) -> None:
        self._name, self._order = name, order

    def wrapped(self, handler: Any) -> Any:
        def behaviour(given: Any, context: Any) -> Any:
            tenant = dict(tuple(it) for it in context.invocation_metadata()).get("x-tenant", "")
            self._order.append(f"{self._name} {given.payload.body.decode()}{tenant}")
            return handler.unary_unary(given, context)

        return grpc.unary_unary_rpc_method_handler(behaviour, handler.request_deserializer, handler.response_serializer)

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        return self.wrapped(continuation(details))


class _OwnAioServer(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    def __init__(self, name: str, order: list[str]) -> None:
        self._plain = _OwnServer(name, order)

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        return self._plain.wrapped(await continuation(details))


@pytest.mark.parametrize(("kind", "own"), [("server", _OwnServer), ("server aio, plain", _OwnAioServer)])
def test_own_interceptors_of_a_server_work_before_and_after(kind: str, own: Any, chains: Path, loop: Loop) -> None:
    order: list[str] = []
    own_ones = {"before": [own("before", order)], "after": [own("after", order)]}
    with placed(kind, loop, file(chains, "calls", "server"), **own_ones) as place:
        assert place.caller.unary(b"change").bodies == [b"changed"]
    assert order == ["before change", "after changedof "]


def test_retries_are_one_call_for_elements(chains: Path) -> None:
    attempts = 0

    class _Flaky(grpc.ServerInterceptor):  # type: ignore[misc]
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                return grpc.unary_unary_rpc_method_handler(
                    lambda _given, context: context.abort(Code.UNAVAILABLE, "again")
                )
            return continuation(details)

    policy = {
        "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }  # fmt: skip
    options = [("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]}))]
    end, service = end_with(file(chains, "calls", "client"), server=False), Service()
    with serving(service, [_Flaky()]) as target:
        plain = grpc.insecure_channel(target, options=options, compression=grpc.Compression.Gzip)
        caller = BlockingCaller(target)
        caller.channel = grpc.intercept_channel(plain, ClientInterceptor(end))
        found = caller.unary(b"change")
        assert found.bodies == [b"changed"], found
        plain.close()
        caller.close()
    assert (attempts, service.bodies) == (2, [b"changed"])
    assert "calls.count = 1\ncalls.ends = 1\ncalls.failed = 0\n" in state(end)


def test_two_chains_of_a_method_pass_in_order(chains: Path, loop: Loop) -> None:
    """An end of two edges runs the chains of both, and other chains of the way may end a call between them."""
    first, second = (end_with(file(chains, name, "client"), server=False) for name in ("calls", "counts-a"))
    assert first.current is not None
    assert second.current is not None
    first.current.judges["/grpc.testing.TestService/UnaryCall"] += second.current.judges[
        "/grpc.testing.TestService/UnaryCall"
    ]
    service = Service()
    with serving(service) as target:
        callers: list[Any] = [
            BlockingCaller(target, [ClientInterceptor(first)]),
            AsyncCaller(loop, target, aio.client.interceptors(first)),
        ]
        for caller in callers:
            assert caller.unary(b"change", (("x-user", "ann"),)).bodies == [b"changed"]
            assert caller.unary(b"refuse").code is Code.ABORTED
            seen = dict(service.seen)
            assert (seen["x-tenant"], seen["x-version"]) == ("of ann", "a")
            caller.close()
    assert "calls.count = 4\n" in state(first)
    assert "counts.count = 2\n" in state(second)


def test_texts_are_utf8(chains: Path, loop: Loop) -> None:
    with placed("client", loop, file(chains, "text", "client")) as place:
        found = place.caller.unary(b"\xff\xfe")
        text = "appnet: an element wrote a text that is not UTF-8 into grpc.testing.SimpleResponse.username"
        assert (found.code, found.details) == (Code.INTERNAL, text)
        assert place.caller.unary(b"plain").response.username == "plain"
