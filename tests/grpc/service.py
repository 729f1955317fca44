"""The test service of gRPC in Python, and its callers: blocking and asynchronous ones, which tests use alike."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import grpc

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.grpc import aio
from appnet.grpc.client import ClientInterceptor
from appnet.grpc.ends import End, RunningVersion
from appnet.grpc.options import Options
from appnet.grpc.server import ServerInterceptor
from tests.processors.grpc.chains import _PROTO, read_chains

SERVICE = "grpc.testing.TestService"
SECONDS = 20.0


@cache
def message(name: str) -> Any:
    return load_proto(FileSource(_PROTO)).message_class(f"grpc.testing.{name}")


def request(body: bytes) -> Any:
    return message("SimpleRequest")(payload={"body": body})


def output_request(body: bytes) -> Any:
    return message("StreamingOutputCallRequest")(payload={"body": body})


METHODS = {
    "UnaryCall": ("SimpleRequest", "SimpleResponse", False, False),
    "EmptyCall": ("Empty", "Empty", False, False),
    "StreamingOutputCall": ("StreamingOutputCallRequest", "StreamingOutputCallResponse", False, True),
    "StreamingInputCall": ("StreamingInputCallRequest", "StreamingInputCallResponse", True, False),
    "FullDuplexCall": ("StreamingOutputCallRequest", "StreamingOutputCallResponse", True, True),
}


class Service:
    """Answers with what it got."""

    def __init__(self) -> None:
        self.calls = 0
        self.seen: list[tuple[str, Any]] = []
        self.bodies: list[bytes] = []

    def note(self, context: Any) -> None:
        self.calls += 1
        self.seen = [tuple(it) for it in context.invocation_metadata()]

    def answer(self, given: Any, context: Any) -> Any:
        body = given.payload.body
        self.bodies.append(body)
        if body == b"set code":
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("said, not raised")
        if body == b"fail oddly":
            raise ValueError("odd")
        return message("SimpleResponse")(payload={"body": body}, username="somebody")


_ABORTS = {
    b"fail": (grpc.StatusCode.FAILED_PRECONDITION, "as told"),
    b"missing": (grpc.StatusCode.NOT_FOUND, "nothing there"),
}
_DETAILS = (("grpc-status-details-bin", b"\1\2\3"),)


def blocking_handlers(service: Service) -> dict[str, Any]:
    def unary(given: Any, context: Any) -> Any:
        service.note(context)
        context.send_initial_metadata((("x-handler", "header"),))
        context.set_trailing_metadata((("x-handler-trailer", "trailer"),))
        body = given.payload.body
        if body in _ABORTS:
            context.set_trailing_metadata(_DETAILS)
            context.abort(*_ABORTS[body])
        if body in {b"slow", b"hurry"}:
            while context.is_active() and context.time_remaining() > 0:
                time.sleep(0.005)
            if context.time_remaining() <= 0:
                time.sleep(0.3)  # its caller is the first to know
        return service.answer(given, context)

    def output(given: Any, context: Any) -> Iterator[Any]:
        service.note(context)
        for _ in range(3):
            yield message("StreamingOutputCallResponse")(payload=given.payload)

    def taken(requests: Any, context: Any) -> Any:
        service.note(context)
        size = sum(len(it.payload.body) for it in requests)
        return message("StreamingInputCallResponse")(aggregated_payload_size=size)

    def duplex(requests: Any, context: Any) -> Iterator[Any]:
        service.note(context)
        context.set_trailing_metadata((("x-handler-trailer", "trailer"),))
        for it in requests:
            yield message("StreamingOutputCallResponse")(payload=it.payload)

    return {
        "UnaryCall": unary, "EmptyCall": lambda _given, _context: message("Empty")(), "StreamingOutputCall": output,
        "StreamingInputCall": taken, "FullDuplexCall": duplex,
    }  # fmt: skip


def async_handlers(service: Service, *, writes: bool) -> dict[str, Any]:
    async def empty(_given: Any, _context: Any) -> Any:
        return message("Empty")()

    async def unary(given: Any, context: Any) -> Any:
        service.note(context)
        await context.send_initial_metadata((("x-handler", "header"),))
        context.set_trailing_metadata((("x-handler-trailer", "trailer"),))
        body = given.payload.body
        if body in _ABORTS:
            context.set_trailing_metadata(_DETAILS)
            await context.abort(*_ABORTS[body])
        if body in {b"slow", b"hurry"}:
            await asyncio.sleep(SECONDS)
        return service.answer(given, context)

    async def output(given: Any, context: Any) -> Any:
        service.note(context)
        for _ in range(3):
            yield message("StreamingOutputCallResponse")(payload=given.payload)

    async def output_written(given: Any, context: Any) -> None:
        service.note(context)
        for _ in range(3):
            await context.write(message("StreamingOutputCallResponse")(payload=given.payload))

    async def taken(requests: Any, context: Any) -> Any:
        service.note(context)
        size = sum([len(it.payload.body) async for it in requests])
        return message("StreamingInputCallResponse")(aggregated_payload_size=size)

    async def duplex(requests: Any, context: Any) -> Any:
        service.note(context)
        context.set_trailing_metadata((("x-handler-trailer", "trailer"),))
        async for it in requests:
            yield message("StreamingOutputCallResponse")(payload=it.payload)

    async def duplex_written(_requests: Any, context: Any) -> None:
        service.note(context)
        context.set_trailing_metadata((("x-handler-trailer", "trailer"),))
        while (it := await context.read()) is not grpc.aio.EOF:
            await context.write(message("StreamingOutputCallResponse")(payload=it.payload))

    return {
        "UnaryCall": unary, "EmptyCall": empty, "StreamingOutputCall": output_written if writes else output,
        "StreamingInputCall": taken, "FullDuplexCall": duplex_written if writes else duplex,
    }  # fmt: skip


def generic_handler(behaviours: dict[str, Any]) -> Any:
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    handlers = {
        name: makers[streams_in, streams_out](
            behaviours[name], message(given).FromString, message(back).SerializeToString
        )
        for name, (given, back, streams_in, streams_out) in METHODS.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


# --- servers and channels ---


class Loop:
    """A loop in a thread, for what is asynchronous."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS * 2)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(SECONDS)
        self.loop.close()


@contextmanager
def serving(service: Service, interceptors: Sequence[Any] = ()) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8), interceptors=tuple(interceptors))
    server.add_generic_rpc_handlers((generic_handler(blocking_handlers(service)),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def serving_aio(
    loop: Loop, service: Service, interceptors: Sequence[Any] = (), behaviours: dict[str, Any] | None = None
) -> Iterator[str]:
    async def start() -> tuple[Any, int]:
        server = grpc.aio.server(interceptors=tuple(interceptors), migration_thread_pool=ThreadPoolExecutor(8))
        handlers = async_handlers(service, writes=False) if behaviours is None else behaviours
        server.add_generic_rpc_handlers((generic_handler(handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = loop.run(start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        loop.run(server.stop(None))


@dataclass
class Result:
    """What a caller got."""

    bodies: list[bytes] = field(default_factory=list)
    code: Any = grpc.StatusCode.OK
    details: str | None = ""
    header: dict[str, Any] = field(default_factory=dict)
    trailer: dict[str, Any] = field(default_factory=dict)
    response: Any = None


def _of_error(error: Any) -> Result:
    return Result(
        [], error.code(), error.details(), dict(error.initial_metadata() or ()), dict(error.trailing_metadata() or ())
    )


def _multi(channel: Any, name: str) -> Any:
    given, back, streams_in, streams_out = METHODS[name]
    kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
    return getattr(channel, kind)(
        f"/{SERVICE}/{name}", request_serializer=message(given).SerializeToString,
        response_deserializer=message(back).FromString,
    )  # fmt: skip


class BlockingCaller:
    """Calls by gRPC's blocking interface."""

    def __init__(self, target: str, interceptors: Sequence[Any] = ()) -> None:
        self._plain = grpc.insecure_channel(target)
        self.channel = grpc.intercept_channel(self._plain, *interceptors) if interceptors else self._plain

    def close(self) -> None:
        self._plain.close()

    def unary(self, body: bytes, metadata: Any = (), timeout: float = SECONDS) -> Result:
        try:
            response, call = _multi(self.channel, "UnaryCall").with_call(
                request(body), metadata=metadata, timeout=timeout
            )
        except grpc.RpcError as error:
            return _of_error(error)
        return Result(
            [response.payload.body], header=dict(call.initial_metadata()), trailer=dict(call.trailing_metadata()),
            response=response,
        )  # fmt: skip

    def output(self, body: bytes, metadata: Any = ()) -> Result:
        return self._read(
            _multi(self.channel, "StreamingOutputCall")(output_request(body), metadata=metadata, timeout=SECONDS)
        )

    def taken(self, bodies: Sequence[bytes], metadata: Any = ()) -> Result:
        requests = iter([message("StreamingInputCallRequest")(payload={"body": it}) for it in bodies])
        try:
            response = _multi(self.channel, "StreamingInputCall")(requests, metadata=metadata, timeout=SECONDS)
        except grpc.RpcError as error:
            return _of_error(error)
        return Result(response=response)

    def duplex(self, bodies: Sequence[bytes], metadata: Any = ()) -> Result:
        return self._read(
            _multi(self.channel, "FullDuplexCall")(
                iter(map(output_request, bodies)), metadata=metadata, timeout=SECONDS
            )
        )

    def leave(self, body: bytes) -> None:
        """A stream that its caller cancels after a response."""
        there = threading.Event()

        def requests() -> Iterator[Any]:
            yield output_request(body)
            there.wait(SECONDS)

        call = _multi(self.channel, "FullDuplexCall")(requests(), timeout=SECONDS)
        next(call)
        call.cancel()
        there.set()

    @staticmethod
    def _read(call: Any) -> Result:
        bodies: list[bytes] = []
        try:
            bodies.extend(it.payload.body for it in call)
        except grpc.RpcError as error:
            result = _of_error(error)
            result.bodies = bodies
            return result
        return Result(
            bodies, call.code(), call.details(), dict(call.initial_metadata()), dict(call.trailing_metadata())
        )


class AsyncCaller:
    """Calls by ``grpc.aio``, in a loop of its own thread."""

    def __init__(self, loop: Loop, target: str, interceptors: Sequence[Any] = (), *, writes: bool = False) -> None:
        self.loop, self._writes = loop, writes

        async def channel() -> Any:
            return grpc.aio.insecure_channel(target, interceptors=list(interceptors))

        self.channel = loop.run(channel())

    def close(self) -> None:
        self.loop.run(self.channel.close())

    def unary(self, body: bytes, metadata: Any = (), timeout: float = SECONDS) -> Result:
        async def made() -> Result:
            call = _multi(self.channel, "UnaryCall")(request(body), metadata=metadata, timeout=timeout)
            try:
                response = await call
            except grpc.aio.AioRpcError as error:
                return _of_error(error)
            header, trailer = await call.initial_metadata(), await call.trailing_metadata()
            return Result([response.payload.body], await call.code(), "", dict(header), dict(trailer), response)

        return self.loop.run(made())

    def output(self, body: bytes, metadata: Any = ()) -> Result:
        async def made() -> Result:
            call = _multi(self.channel, "StreamingOutputCall")(output_request(body), metadata=metadata, timeout=SECONDS)
            return await self._read(call)

        return self.loop.run(made())

    def taken(self, bodies: Sequence[bytes], metadata: Any = ()) -> Result:
        requests = [message("StreamingInputCallRequest")(payload={"body": it}) for it in bodies]

        async def made() -> Result:
            method = _multi(self.channel, "StreamingInputCall")
            try:
                if self._writes:
                    call = method(metadata=metadata, timeout=SECONDS)
                    for it in requests:
                        await call.write(it)
                    await call.done_writing()
                    return Result(response=await call)
                return Result(response=await method(iter(requests), metadata=metadata, timeout=SECONDS))
            except grpc.aio.AioRpcError as error:
                return _of_error(error)

        return self.loop.run(made())

    def duplex(self, bodies: Sequence[bytes], metadata: Any = ()) -> Result:
        async def requests() -> Any:
            for it in bodies:
                yield output_request(it)

        async def made() -> Result:
            method = _multi(self.channel, "FullDuplexCall")
            if not self._writes:
                return await self._read(method(requests(), metadata=metadata, timeout=SECONDS))
            call = method(metadata=metadata, timeout=SECONDS)
            result, came = Result(), []
            try:
                async for it in requests():
                    await call.write(it)
                    came.append(await call.read())
                await call.done_writing()
                assert await call.read() is grpc.aio.EOF
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            result.bodies = [it.payload.body for it in came if it is not grpc.aio.EOF]
            result.code, result.details = await call.code(), await call.details()
            result.trailer = dict(await call.trailing_metadata())
            return result

        return self.loop.run(made())

    def leave(self, body: bytes) -> None:
        async def made() -> None:
            async def requests() -> Any:
                yield output_request(body)
                await asyncio.sleep(SECONDS)

            call = _multi(self.channel, "FullDuplexCall")(requests(), timeout=SECONDS)
            await call.read()
            call.cancel()

        self.loop.run(made())

    @staticmethod
    async def _read(call: Any) -> Result:
        bodies: list[bytes] = []
        try:
            async for it in call:
                bodies.append(it.payload.body)  # noqa: PERF401 -- those before an error count
        except grpc.aio.AioRpcError as error:
            result = _of_error(error)
            result.bodies = bodies
            return result
        return Result(
            bodies, await call.code(), await call.details(), dict(await call.initial_metadata()),
            dict(await call.trailing_metadata()),
        )  # fmt: skip


# --- ends ---

_count = iter(range(1, 1 << 30))


def end_with(file: bytes, *, server: bool) -> End:
    """An end that runs a version; its state is nobody else's."""
    part = read_chains(file)
    part.chains[0].name += f".{next(_count)}"
    end = End(part.server if server else part.client, Options(patience=1.0), server=server)
    end.use(RunningVersion([part]))
    return end


def state(end: End) -> str:
    assert end.current is not None
    return "".join(it.instance.state() for it in end.current.chains)


def wait_for(there: Callable[[], bool], show: Callable[[], str]) -> None:
    until = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < until, show()
        time.sleep(0.01)


@dataclass
class Place:
    """A chain somewhere between a caller and its service."""

    caller: Any
    service: Service
    end: End
    kind: str = ""


KINDS = (
    "client",
    "server",
    "client aio",
    "client aio, written",
    "server aio",
    "server aio, written",
    "server aio, plain",
)


@contextmanager
def placed(
    kind: str, loop: Loop, file: bytes, before: Sequence[Any] = (), after: Sequence[Any] = ()
) -> Iterator[Place]:
    """The chain at this place; ``before`` and ``after``: the program's own interceptors."""
    service, writes = Service(), kind.endswith("written")
    end = end_with(file, server=kind.startswith("server"))
    if kind == "client":
        with serving(service) as target:
            caller: Any = BlockingCaller(target, [*before, ClientInterceptor(end), *after])
            yield Place(caller, service, end, kind)
            caller.close()
    elif kind.startswith("client aio"):
        with serving(service) as target:
            caller = AsyncCaller(loop, target, [*before, *aio.client.interceptors(end), *after], writes=writes)
            yield Place(caller, service, end, kind)
            caller.close()
    elif kind == "server":
        with serving(service, [*before, ServerInterceptor(end), *after]) as target:
            caller = BlockingCaller(target)
            yield Place(caller, service, end, kind)
            caller.close()
    else:
        behaviours = blocking_handlers(service) if kind.endswith("plain") else async_handlers(service, writes=writes)
        interceptors = [*before, aio.server.ServerInterceptor(end), *after]
        with serving_aio(loop, service, interceptors, behaviours) as target:
            caller = BlockingCaller(target)
            yield Place(caller, service, end, kind)
            caller.close()
