"""OTLP posts become records; what is malformed is told so and disturbs nobody."""

from __future__ import annotations

import gzip
from typing import Any

import aiohttp
import pytest

from appnet.observe import MalformedTelemetryError, OtlpReceiver, Record, Records, RecordStore, decode_logs
from appnet.observe.otlp import (
    AnyValue,
    ArrayValue,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    KeyValueList,
)
from appnet.observe.signals import Signal
from tests.support.asynchronous import asynchronous

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def request(scope: str, *values: Any, time_ns: int = 5) -> bytes:
    message = ExportLogsServiceRequest()
    resource_logs = message.resource_logs.add()
    resource_logs.resource.attributes.add(key="service.name").value.string_value = "echo"
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = scope
    for value in values:
        scope_logs.log_records.add(time_unix_nano=time_ns).body.CopyFrom(value)
    return message.SerializeToString()


def pair(first: Any, second: Any) -> Any:
    return AnyValue(array_value=ArrayValue(values=[first, second]))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (AnyValue(string_value="hé"), "hé"),
        (AnyValue(bytes_value=b"\xff"), b"\xff"),
        (AnyValue(bool_value=False), False),
        (AnyValue(int_value=-(2**63)), -(2**63)),
        (AnyValue(double_value=0.25), 0.25),
        (AnyValue(), None),
        (pair(AnyValue(int_value=1), pair(AnyValue(string_value="a"), AnyValue(double_value=2.0))), (1, ("a", 2.0))),
    ],
)
def test_values_keep_their_kind(sent: Any, read: object) -> None:
    ((record,),) = decode_logs(request("fault.log", sent))
    assert record == Record(5, "fault", "log", read, {"service.name": "echo"})  # type: ignore[arg-type]
    assert type(record.value) is type(read)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\xff\xff\xff", "not an ExportLogsServiceRequest"),
        (request("nameless", AnyValue(int_value=1)), "'nameless' is not ELEMENT.VARIABLE"),
        (request(".variable", AnyValue(int_value=1)), "not ELEMENT.VARIABLE"),
        (request("element.", AnyValue(int_value=1)), "not ELEMENT.VARIABLE"),
        (request("a.b", AnyValue(kvlist_value=KeyValueList())), "cannot hold a kvlist_value"),
    ],
)
@asynchronous
async def test_malformed_posts_are_refused_whole(body: bytes, why: str) -> None:
    with pytest.raises(MalformedTelemetryError, match=why):
        decode_logs(body)
    got: list[Record] = []
    async with OtlpReceiver() as receiver, aiohttp.ClientSession() as session:
        receiver.subscribe(got.extend)
        async with session.post(f"http://{receiver.address}/v1/logs", data=body, headers=PROTOBUF) as answer:
            assert answer.status == 400
            assert why.rsplit(maxsplit=1)[-1] in await answer.text()
    assert got == []


@asynchronous
async def test_posts_plain_and_gzipped_reach_every_subscriber() -> None:
    async with OtlpReceiver() as receiver, aiohttp.ClientSession() as session:
        url = f"http://{receiver.address}/v1/logs"
        got: list[Record] = []

        def fails(_records: Records) -> None:
            raise RuntimeError

        receiver.subscribe(fails)
        unsubscribe = receiver.subscribe(got.extend)
        body = request("fault.log", AnyValue(int_value=1), AnyValue(int_value=2))
        zipped = {**PROTOBUF, "Content-Encoding": "gzip"}
        async with session.post(url, data=body, headers=PROTOBUF) as answer:
            assert answer.status == 200
            ExportLogsServiceResponse.FromString(await answer.read())
        async with session.post(url, data=gzip.compress(body), headers=zipped) as answer:
            assert answer.status == 200
        assert [it.value for it in got] == [1, 2, 1, 2]
        for broken in (body, gzip.compress(body)[:-4]):
            async with session.post(url, data=broken, headers=zipped) as answer:
                assert answer.status == 400
                assert "gzip" in await answer.text()
        async with session.post(url, data=body, headers={**PROTOBUF, "Content-Encoding": "br"}) as answer:
            assert answer.status == 400
        async with session.post(url, data=b"{}", headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 415
        async with session.get(url) as answer:
            assert answer.status == 405
        unsubscribe()
        async with session.post(url, data=body, headers=PROTOBUF) as answer:
            assert answer.status == 200
        assert len(got) == 4


@asynchronous
async def test_a_batch_that_comes_twice_is_taken_once() -> None:
    async with OtlpReceiver() as receiver, aiohttp.ClientSession() as session:
        got: list[Record] = []
        receiver.subscribe(got.extend)
        body = request("fault.log", AnyValue(int_value=1))

        async def comes(body: bytes, batch: str, status: int = 200) -> int:
            headers = {**PROTOBUF, "appnet-batch": batch}
            async with session.post(f"http://{receiver.address}/v1/logs", data=body, headers=headers) as answer:
                assert answer.status == status
            return len(got)

        assert await comes(body[:-1], "a-1", 400) == 0
        assert [await comes(body, it) for it in ("a-1", "a-1", "a-2", "b-1", "a-1")] == [1, 1, 2, 3, 3]
        assert [await comes(body, "x" * 65) for _ in range(2)] == [4, 5], "which no chain sends"
        for number in range(4_096):
            receiver._take_once(Signal.LOGS, body, f"c-{number}")
        assert len(receiver._batches) == 4_096


@asynchronous
async def test_two_receivers_do_not_share_a_port() -> None:
    async with OtlpReceiver() as first:
        with pytest.raises(OSError, match=r"(?i)in use"):
            await OtlpReceiver(first.address).start()


def record(value: object, element: str = "metrics", variable: str = "latency", time_ns: int = 0) -> Records:
    return Records.of(Record(time_ns, element, variable, value, {}))  # type: ignore[arg-type]


def test_a_stream_keeps_its_latest_records_and_counts_all() -> None:
    store = RecordStore(capacity=3)
    for number in range(5):
        store.add(record(number))
    store.add(record("x", "logging", "log"))
    assert [it.value for it in store.records("metrics", "latency")] == [2, 3, 4]
    assert store.counts() == {("logging", "log"): 1, ("metrics", "latency"): 5}
    assert store.records("nobody", "nothing") == []


def test_what_came_together_is_counted_and_kept_one_by_one() -> None:
    store = RecordStore(capacity=3)
    assert store.records("metrics", "latency", 2) == []
    for some in (range(5), range(5, 7)):
        store.add(Records("metrics", "latency", {}, list(some), list(some)))
        assert len(store.records("metrics", "latency")) == 3
    assert [it.value for it in store.records("metrics", "latency")] == [4, 5, 6]
    assert [it.value for it in store.records("metrics", "latency", 2)] == [5, 6]
    assert [(number, it.value) for number, it in store.latest(9)] == [(7, 6), (6, 5), (5, 4)]
    (summary,) = store.summaries()
    assert (summary.count, summary.latest.value) == (7, 6)


@pytest.mark.parametrize(("value", "together"), [("x", [1_024, 1_024, 952]), ("x" * 2_000, [524] * 5 + [380])])
def test_long_posts_come_in_parts(value: str, together: list[int]) -> None:
    found = decode_logs(request("fault.log", *[AnyValue(string_value=value)] * 3_000))
    assert [len(it) for it in found] == together
    assert [it.size for it in found] == [len(value) * it for it in together]


def test_the_stream_silent_longest_makes_room() -> None:
    store = RecordStore(max_streams=2)
    for element in ("a", "b", "a", "c"):
        store.add(record(1, element))
    assert [key.element for key in store.counts()] == ["a", "c"]


def test_float_records_are_summed_up() -> None:
    store = RecordStore()
    for number in range(1, 101):
        store.add(record(float(number)))
    store.add(record(float("nan")))
    store.add(record("text", "logging", "log"))
    logging, metrics = store.summaries()
    assert logging.floats is None
    assert logging.latest.value == "text"
    assert metrics.count == 101
    assert metrics.floats is not None
    assert (metrics.floats.count, metrics.floats.p50, metrics.floats.p99) == (100, 50.0, 99.0)


def test_one_float_is_its_own_median() -> None:
    store = RecordStore()
    store.add(record(0.5))
    floats = store.summaries()[0].floats
    assert floats is not None
    assert (floats.p50, floats.p99) == (0.5, 0.5)


def test_long_records_are_kept_by_their_size() -> None:
    store = RecordStore(stream_bytes=1_000)
    for number in range(100):
        store.add(record("x" * 400, "log", "texts", number))
    assert [it.time_ns for it in store.records("log", "texts")] == [98, 99]
    store.add(record("x" * 5_000, "log", "texts", 100))
    assert [it.time_ns for it in store.records("log", "texts")] == [100], "the last one in any case"
    store.add(record(("x", 1.0), "log", "texts", 101))
    assert [it.time_ns for it in store.records("log", "texts")] == [101]
    assert store.counts() == {("log", "texts"): 102}
