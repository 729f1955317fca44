"""What no chain sends is refused by a clear answer, over HTTP and over gRPC, and takes no more memory than it may."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import pytest

from appnet.observe import OtlpReceiver, Point, Record
from appnet.observe.otlp import AnyValue, ExportLogsServiceRequest, ExportMetricsServiceRequest
from appnet.observe.records import MOST_RECORDS, REFUSALS
from appnet.observe.signals import Signal
from appnet.observe.spans import MOST_SPANS, Span
from appnet.observe.store import RecordStore
from appnet.system.address import ANY_LOCAL_PORT
from tests.observe.spans import MINIMAL, spans_of
from tests.observe.test_receiver import PROTOBUF, record, request
from tests.support.asynchronous import asynchronous

GOOD = request("fault.log", AnyValue(int_value=1), AnyValue(int_value=2))


def length(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def field(number: int, content: bytes) -> bytes:
    return length(number << 3 | 2) + length(len(content)) + content


def deep(levels: int) -> bytes:
    value = field(1, b"x")
    for _ in range(levels):
        value = field(5, field(1, value))
    return field(1, field(2, field(1, field(1, b"a.b")) + field(2, field(5, value))))


def many(number: int) -> bytes:
    return field(1, field(2, field(1, field(1, b"a.b")) + b"\x12\x00" * number))


def large_resource() -> bytes:
    message = ExportLogsServiceRequest.FromString(GOOD)
    message.resource_logs[0].resource.attributes[0].value.string_value = "x" * 100_000
    return message.SerializeToString()


def no_instance() -> bytes:
    message = ExportMetricsServiceRequest()
    message.resource_metrics.add().scope_metrics.add().metrics.add(name="appnet.calls")
    return message.SerializeToString()


CASES: list[tuple[str, Signal, bytes, int, str]] = [
    ("truncated", Signal.LOGS, GOOD[:-3], 400, "not an ExportLogsServiceRequest"),
    ("noise", Signal.LOGS, bytes(range(255, 0, -1)) * 100, 400, "not an ExportLogsServiceRequest"),
    ("wrong type", Signal.LOGS, field(1, field(2, b"\x12\x05")), 400, "not an ExportLogsServiceRequest"),
    ("no UTF-8", Signal.LOGS, field(1, field(2, field(1, field(1, b"\xff.\xff")))), 400, "not an Export"),
    ("deep", Signal.LOGS, deep(10_000), 400, "not an ExportLogsServiceRequest"),
    ("many", Signal.LOGS, many(MOST_RECORDS + 1), 400, "more than 200000 records in one post"),
    ("very many", Signal.LOGS, many(30 << 20), 400, "more than 200000 records in one post"),
    ("fields of no meaning", Signal.LOGS, b"\x18\0" * (30 << 20), 400, "too many fields"),
    ("a long name", Signal.LOGS, request("a" * 5_000 + ".b", AnyValue(int_value=1)), 400, "is not ELEMENT.VARIABLE"),
    ("a long refusal", Signal.LOGS, request(REFUSALS, AnyValue(string_value="x" * 20_000)), 400, "more than 16384 bytes"),
    ("a large resource", Signal.LOGS, large_resource(), 400, "a resource takes more than 32768 bytes"),
    ("metrics truncated", Signal.METRICS, no_instance()[:-1], 400, "not an ExportMetricsServiceRequest"),
    ("metrics of nobody", Signal.METRICS, no_instance(), 400, "a resource has no service.instance.id"),
    ("logs as metrics", Signal.METRICS, GOOD, 400, ""),
    ("traces truncated", Signal.TRACES, spans_of(MINIMAL)[:-1], 400, "not an ExportTraceServiceRequest"),
    ("logs as traces", Signal.TRACES, GOOD, 400, ""),
    ("a short trace id", Signal.TRACES, spans_of({**MINIMAL, "trace_id": b"\x01" * 15}), 400, "the id of a trace is not 16"),
    ("zeros as a trace id", Signal.TRACES, spans_of({**MINIMAL, "trace_id": bytes(16)}), 400, "the id of a trace is not 16"),
    ("no span id", Signal.TRACES, spans_of({**MINIMAL, "span_id": b""}), 400, "the id of a span is not 8 bytes"),
    ("a long parent", Signal.TRACES, spans_of({**MINIMAL, "parent_span_id": b"\x01" * 9}), 400, "the id of a parent is not 8"),
    ("a span that ends first", Signal.TRACES, spans_of({**MINIMAL, "start_time_unix_nano": 9}), 400, "impossible times"),
    ("a span of the far future", Signal.TRACES, spans_of({**MINIMAL, "end_time_unix_nano": 2**63}), 400, "impossible times"),
    ("a long name of a span", Signal.TRACES, spans_of({**MINIMAL, "name": "x" * 2_000}), 400, "longer than 1024 characters"),
    ("a large span", Signal.TRACES, spans_of({**MINIMAL, "name": "x" * 70_000}), 400, "a span takes more than 65536 bytes"),
    ("many events", Signal.TRACES, spans_of({**MINIMAL, "events": [{}] * 129}), 400, "a span has more than 128 events"),
    ("many attributes", Signal.TRACES, spans_of({**MINIMAL, "attributes": [{}] * 129}), 400, "more than 128 attributes"),
    ("many spans", Signal.TRACES, many(MOST_SPANS + 1), 400, "more than 20000 spans in one post"),
    ("very many spans", Signal.TRACES, many(3 << 19), 400, "more than 20000 spans in one post"),
    ("too large traces", Signal.TRACES, bytes(5 << 20), 413, "more than 4194304 bytes"),
    ("too many counts", Signal.METRICS, bytes(9 << 20), 413, "more than 8388608 bytes"),
]  # fmt: skip
IDS = [it[0] for it in CASES]


@asynccontextmanager
async def received() -> AsyncIterator[tuple[OtlpReceiver, list[Record | Point | Span]]]:
    got: list[Record | Point | Span] = []
    async with OtlpReceiver(grpc=ANY_LOCAL_PORT) as receiver:
        receiver.subscribe(got.extend)
        receiver.count(got.append)
        receiver.trace(got.append)
        yield receiver, got


async def post(receiver: OtlpReceiver, signal: Signal, body: bytes, **headers: str) -> tuple[int, str]:
    url = f"http://{receiver.address}{signal.path}"
    sent = {**PROTOBUF, **headers}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=sent) as answer:
        return answer.status, await answer.text()


async def export(receiver: OtlpReceiver, signal: Signal, body: bytes, zipped: bool = False) -> tuple[Any, str]:
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(str(receiver.grpc_address), options) as channel:
        method = channel.unary_unary(f"/{signal.service}/Export")
        try:
            await method(body, timeout=60, compression=grpc.Compression.Gzip if zipped else None)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""


@pytest.mark.parametrize(("_name", "signal", "body", "status", "why"), CASES, ids=IDS)
@asynchronous
async def test_over_http(_name: str, signal: Signal, body: bytes, status: int, why: str) -> None:
    async with received() as (receiver, got):
        for sent, encoding in ((body, "identity"), (gzip.compress(body, 1), "gzip")):
            found = await post(receiver, signal, sent, **{"Content-Encoding": encoding})
            assert found[0] == status
            assert why in found[1]
        assert got == []
        assert (await post(receiver, Signal.LOGS, GOOD))[0] == 200, "and it goes on"


@pytest.mark.parametrize(("_name", "signal", "body", "status", "why"), CASES, ids=IDS)
@asynchronous
async def test_over_grpc(_name: str, signal: Signal, body: bytes, status: int, why: str) -> None:
    codes = {400: grpc.StatusCode.INVALID_ARGUMENT, 413: grpc.StatusCode.RESOURCE_EXHAUSTED}
    async with received() as (receiver, got):
        for zipped in (False, True):
            found = await export(receiver, signal, body, zipped)
            assert found[0] is codes[status]
            assert why in found[1]
        assert got == []
        assert (await export(receiver, Signal.LOGS, GOOD))[0] is grpc.StatusCode.OK, "and it goes on"


@asynchronous
async def test_what_is_good_comes_by_grpc_as_by_http() -> None:
    async with received() as (receiver, got):
        assert (await export(receiver, Signal.LOGS, GOOD, zipped=True))[0] is grpc.StatusCode.OK
        assert (await post(receiver, Signal.LOGS, GOOD))[0] == 200
        assert [it.value for it in got if isinstance(it, Record)] == [1, 2, 1, 2]
        body = spans_of(MINIMAL)
        assert (await export(receiver, Signal.TRACES, body, zipped=True))[0] is grpc.StatusCode.OK
        assert (await post(receiver, Signal.TRACES, body))[0] == 200
        assert [it.name for it in got if isinstance(it, Span)] == ["echo", "echo"]


@asynchronous
async def test_both_refuse_what_is_larger_than_64_mebibytes() -> None:
    large = bytes((64 << 20) + 1)
    async with received() as (receiver, got):
        assert (await post(receiver, Signal.LOGS, large))[0] == 413
        assert (await export(receiver, Signal.LOGS, large))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert got == []


SERVES = """
import asyncio, resource, sys
from appnet.observe import OtlpReceiver
from appnet.system.address import ANY_LOCAL_PORT

async def main():
    async with OtlpReceiver(grpc=ANY_LOCAL_PORT) as receiver:
        print(receiver.address, receiver.grpc_address, flush=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await asyncio.to_thread(sys.stdin.read)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, flush=True)

asyncio.run(main())
"""


@asynchronous
async def test_gzip_that_unfolds_takes_no_memory() -> None:
    """Half a gibibyte of zeros, which takes 2 MiB on the way."""
    zeros = bytes(1 << 29)
    bomb = gzip.compress(zeros, 1)
    with subprocess.Popen(
        [sys.executable, "-c", SERVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        http, over_grpc = serving.stdout.readline().split()
        headers = {**PROTOBUF, "Content-Encoding": "gzip"}
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(f"http://{http}/v1/logs", data=bomb, headers=headers) as answer:
                    assert answer.status == 413
                    assert "when decompressed" in await answer.text()
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(over_grpc, options) as channel:
            call = channel.unary_unary(f"/{Signal.LOGS.service}/Export")
            with pytest.raises(grpc.aio.AioRpcError) as found:
                await call(zeros, timeout=120, compression=grpc.Compression.Gzip)
            assert found.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        told, _ = serving.communicate()
    assert int(told) < 300, "MiB"


def test_the_latest_records_are_bounded_whoever_sends_them() -> None:
    store = RecordStore(max_bytes=1 << 20)
    for number in range(500):
        for _ in range(20):
            store.add(record("x" * 1_000, f"element{number}", "log"))
    assert 20 <= len(store.counts()) <= 60
    assert store.counts()["element499", "log"] == 20
    for it in range(2_000):
        store.add(record("x" * 1_000, "element499", "log", it))
    assert store.counts() == {("element499", "log"): 2_020}
