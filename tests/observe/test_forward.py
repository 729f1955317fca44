"""What was received goes on to another collector, all of it and once; one that is away costs what does not fit alone."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from appnet.observe import OtlpReceiver, Point, Record, decode_logs
from appnet.observe import forward as forwarding
from appnet.observe.forward import Collector, Forwarder
from appnet.observe.otlp import AnyValue
from appnet.observe.signals import Signal
from appnet.observe.spans import Span
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.http import serve_http
from tests.observe.spans import MINIMAL, spans_of
from tests.observe.test_points import request as counts
from tests.observe.test_receiver import PROTOBUF, request
from tests.support.asynchronous import asynchronous, eventually


def post_of(first: int, number: int) -> bytes:
    return request("log.seen", *(AnyValue(int_value=it) for it in range(first, first + number)))


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@asynchronous
async def test_all_goes_on(scheme: str) -> None:
    got: list[Record | Point | Span] = []
    async with OtlpReceiver(grpc=ANY_LOCAL_PORT) as last, OtlpReceiver() as first:
        last.subscribe(got.extend)
        last.count(got.append)
        last.trace(got.append)
        address = last.address if scheme == "http" else last.grpc_address
        async with Forwarder(Collector.parse(f"{scheme}://{address}")) as forwarder, aiohttp.ClientSession() as session:
            first.listen(forwarder.add)
            url = f"http://{first.address}"
            for number in range(20):
                async with session.post(f"{url}/v1/logs", data=post_of(number * 5, 5), headers=PROTOBUF) as answer:
                    assert answer.status == 200
            async with session.post(f"{url}/v1/logs", data=b"\xff", headers=PROTOBUF) as answer:
                assert answer.status == 400, "which goes nowhere"
            sums = counts().SerializeToString()
            async with session.post(f"{url}/v1/metrics", data=sums, headers=PROTOBUF) as answer:
                assert answer.status == 200
            async with session.post(f"{url}/v1/traces", data=spans_of(MINIMAL), headers=PROTOBUF) as answer:
                assert answer.status == 200
        records = [it.value for it in got if isinstance(it, Record)]
        assert records == list(range(100)), "also what came just before the end"
        assert any(isinstance(it, Point) for it in got)
        assert [it.name for it in got if isinstance(it, Span)] == ["echo"]
        assert forwarder.lost() == []


@asynccontextmanager
async def answering(answer: Callable[[int], tuple[int, str]]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A collector that answers the number of a post with a status and a text, and what it took."""
    taken: list[bytes] = []
    posts = 0

    async def logs(post: web.Request) -> web.Response:
        nonlocal posts
        posts += 1
        status, text = answer(posts)
        if status == 200:
            taken.append(gzip.decompress(await post.read()))
        return web.Response(status=status, text=text)

    application = web.Application(client_max_size=1 << 30)
    application.router.add_post("/otel/v1/logs", logs)
    runner = await serve_http(application, ANY_LOCAL_PORT, auto_decompress=False)
    try:
        yield f"http://{Address(*runner.addresses[0][:2])}/otel/", taken
    finally:
        await runner.cleanup()


@asynchronous
async def test_a_collector_that_is_busy_is_asked_again() -> None:
    busy = [True]
    answers = answering(lambda _: (503, "later") if busy else (200, ""))
    async with answers as (url, taken), Forwarder(Collector.parse(url)) as forwarder:
        forwarder.add(Signal.LOGS, post_of(0, 3), 3)
        await eventually(lambda: bool(forwarder.lost()), 60)
        assert "status 503: later" in forwarder.lost()[0]
        busy.clear()
        await eventually(lambda: bool(taken), 60)
        await eventually(lambda: not forwarder.lost(), 60)
    assert [it.value for some in decode_logs(taken[0]) for it in some] == [0, 1, 2]


@asynchronous
async def test_what_a_collector_refuses_is_dropped_and_counted() -> None:
    async with answering(lambda number: (400, "no") if number == 1 else (200, "")) as (url, taken):
        async with Forwarder(Collector.parse(url)) as forwarder:
            forwarder.add(Signal.LOGS, post_of(0, 3), 3)
            await eventually(lambda: forwarder.dropped[Signal.LOGS] == 3, 60)
            forwarder.add(Signal.LOGS, post_of(3, 1), 1)
            await eventually(lambda: bool(taken), 60)
        assert forwarder.lost() == [f"3 records, points and spans were not forwarded to {Collector.parse(url)}"]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@asynchronous
async def test_a_collector_that_is_away_costs_what_does_not_fit(scheme: str) -> None:
    large = bytes(10 << 20)
    async with Forwarder(Collector.parse(f"{scheme}://127.0.0.1:1")) as forwarder:
        for _ in range(10):
            forwarder.add(Signal.LOGS, large, 7)
        assert forwarder.dropped[Signal.LOGS] == 4 * 7
        await eventually(lambda: "nothing is forwarded to" in forwarder.lost()[0], 60)
    assert forwarder.dropped[Signal.LOGS] == 10 * 7, "what is left in the end"


@asynchronous
async def test_posts_are_sent_together() -> None:
    async with answering(lambda number: (503, "") if number == 1 else (200, "")) as (url, taken):
        async with Forwarder(Collector.parse(url)) as forwarder:
            for number in range(1_000):
                forwarder.add(Signal.LOGS, post_of(number, 1), 1)
            await eventually(lambda: bool(taken), 60)
        assert len(taken) == 1
        assert [it.value for some in decode_logs(taken[0]) for it in some] == list(range(1_000))
        large = bytes(forwarding._BATCH_BYTES // 2 + 1)
        async with Forwarder(Collector.parse(url)) as forwarder:
            for _ in range(3):
                forwarder.add(Signal.LOGS, large, 1)
            await eventually(lambda: len(taken) == 4, 60)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("http://otel", "http://otel:4318"),
        ("https://otel.example/a/", "https://otel.example:443/a"),
        ("grpc://[::1]:5", "grpc://[::1]:5"),
        ("grpcs://otel", "grpcs://otel:443"),
    ],
)
def test_addresses(text: str, read: str) -> None:
    assert str(Collector.parse(text)) == read


@pytest.mark.parametrize(
    "text", ["", "otel:4318", "ftp://a", "http://", "http://a?b=c", "grpc://a/b", "http://u:p@a", "http://a:99999"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no address of a collector|which gRPC has none of|out of range"):
        Collector.parse(text)


@asynchronous
async def test_a_collector_that_hangs_holds_nobody_up() -> None:
    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(60):
        async with Forwarder(Collector.parse(f"http://127.0.0.1:{port}")) as forwarder:
            forwarder.add(Signal.LOGS, post_of(0, 1), 1)
        assert forwarder.dropped[Signal.LOGS] == 1
    server.close()
