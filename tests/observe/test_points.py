"""OTLP metrics become sums; what chains do not send is refused, and what comes twice counts once."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from appnet.observe import Histogram, MalformedTelemetryError, OtlpReceiver, Point, Totals, decode_metrics
from appnet.observe.metrics import chain_metrics, metrics_page
from appnet.observe.otlp import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from tests.support.asynchronous import asynchronous

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def request(instance: str = "i1", *, value: int = 7, time: int = 2) -> Any:
    message = ExportMetricsServiceRequest()
    of = message.resource_metrics.add()
    for key, text in {"service.instance.id": instance, "appnet.version": "v1"}.items():
        of.resource.attributes.add(key=key).value.string_value = text
    scope = of.scope_metrics.add()
    sums = scope.metrics.add(name="appnet.calls", unit="{call}").sum
    sums.aggregation_temporality, sums.is_monotonic = 2, True
    point = sums.data_points.add(start_time_unix_nano=1, time_unix_nano=time, as_int=value)
    point.attributes.add(key="rpc.method").value.string_value = "shop.Shop/get"
    took = scope.metrics.add(name="rpc.client.call.duration").exponential_histogram
    took.aggregation_temporality = 2
    it = took.data_points.add(start_time_unix_nano=1, time_unix_nano=time, count=3, sum=0.5, scale=3)
    it.positive.offset = -80
    it.positive.bucket_counts.extend([1, 0, 2])
    return message


def test_points_have_what_was_sent() -> None:
    calls, took = decode_metrics(request().SerializeToString())
    resource = {"service.instance.id": "i1", "appnet.version": "v1"}
    assert calls == Point("appnet.calls", {"rpc.method": "shop.Shop/get"}, resource, 7, 1, 2)
    assert took.value == Histogram(3, -80, (1, 0, 2), 0.5)


def metric(message: Any, number: int = 0) -> Any:
    return message.resource_metrics[0].scope_metrics[0].metrics[number]


def bucket(message: Any) -> Any:
    return metric(message, 1).exponential_histogram.data_points[0]


BAD: dict[str, Callable[[Any], Any]] = {
    "has no service.instance.id": lambda it: it.resource_metrics[0].ClearField("resource"),
    "is a gauge": lambda it: metric(it).gauge.SetInParent(),
    "is a None": lambda it: metric(it).ClearField("sum"),
    "is not cumulative": lambda it: setattr(metric(it).sum, "aggregation_temporality", 1),
    "a sum is no count": lambda it: setattr(metric(it).sum.data_points[0], "as_double", 1.0),
    "do not add up": lambda it: setattr(bucket(it), "count", 4),
    "is none of durations": lambda it: bucket(it).positive.bucket_counts.extend([0] * 2_000),
    "a histogram is none": lambda it: setattr(bucket(it), "scale", 20),
    "sum is none of durations": lambda it: setattr(bucket(it), "sum", 1e308),
    "sum is none of": lambda it: setattr(bucket(it), "sum", -1.0),
    "metric 'appnet.calls' is a exponential": lambda it: setattr(metric(it, 1), "name", "appnet.calls"),
    "metric 'rpc.client.call.duration' is a sum": lambda it: setattr(metric(it), "name", "rpc.client.call.duration"),
    "are of no duration": lambda it: setattr(bucket(it).positive, "offset", 2**31 - 1),
    "longer than 1024": lambda it: setattr(metric(it), "name", "x" * 2_000),
    "more than 32 attributes": lambda it: (
        metric(it).sum.data_points[0].attributes.extend([metric(it).sum.data_points[0].attributes[0]] * 40)
    ),
    "is no text": lambda it: setattr(metric(it).sum.data_points[0].attributes[0].value, "int_value", 1),
}


@pytest.mark.parametrize("why", BAD)
def test_what_chains_do_not_send_is_refused(why: str) -> None:
    message = request()
    BAD[why](message)
    with pytest.raises(MalformedTelemetryError, match=why):
        decode_metrics(message.SerializeToString())


def test_no_bytes_do_more_than_be_refused() -> None:
    whole, draws = request().SerializeToString(), random.Random(20)
    for _ in range(3_000):
        damaged = bytearray(whole[: draws.randrange(len(whole) + 1)])
        for _ in range(draws.randrange(4)):
            if damaged:
                damaged[draws.randrange(len(damaged))] = draws.randrange(256)
        totals = Totals(max_instances=4)
        try:
            points = decode_metrics(bytes(damaged))
        except MalformedTelemetryError:
            continue
        for it in points:
            totals.add(it)
        list(totals.series())


@asynchronous
async def test_posts() -> None:
    totals = Totals()
    async with OtlpReceiver() as receiver, aiohttp.ClientSession() as session:
        receiver.count(totals.add)
        url = f"http://{receiver.address}/v1/metrics"
        for _ in range(2):
            async with session.post(url, data=request().SerializeToString(), headers=PROTOBUF) as answer:
                assert answer.status == 200
                ExportMetricsServiceResponse.FromString(await answer.read())
        async with session.post(url, data=b"\xff", headers=PROTOBUF) as answer:
            assert answer.status == 400
        async with session.post(url, data=b"{}", headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 415
        many = bytes(9 << 20)
        async with session.post(url, data=many, headers=PROTOBUF) as answer:
            assert answer.status == 413
        zipped = {**PROTOBUF, "Content-Encoding": "gzip"}
        async with session.post(url, data=gzip.compress(many), headers=zipped) as answer:
            assert (answer.status, await answer.text()) == (413, "more than 8388608 bytes when decompressed\n")
    assert totals.by(["appnet.calls"], ["rpc.method"]) == {("shop.Shop/get",): 7}


def told(totals: Totals, instance: str, value: int, time: int) -> None:
    for it in decode_metrics(request(instance, value=value, time=time).SerializeToString()):
        totals.add(it)


def test_late_posts_and_those_that_come_twice_change_nothing() -> None:
    totals = Totals()
    for instance, value, time in (("a", 5, 10), ("a", 5, 10), ("a", 9, 20), ("b", 1, 10), ("a", 5, 10)):
        told(totals, instance, value, time)
    assert totals.by(["appnet.calls"], []) == {(): 10}


class Clock:
    """Seconds that pass only when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_ended_stays_in_the_sums() -> None:
    clock = Clock()
    totals = Totals(max_instances=2, clock=clock)
    for number in range(10):
        told(totals, f"i{number}", number, 10)
        clock.now += 30
    assert totals.by(["appnet.calls"], ["appnet.version"]) == {("v1",): 45}
    took = totals.by(["rpc.client.call.duration"], [])[()]
    assert isinstance(took, Histogram)
    assert took.counts == (10, 0, 20)
    assert totals.by(["appnet.calls"], [], living=True) == {(): 9}, "the last one"


def test_instances_that_live_stay_so_nothing_is_counted_twice() -> None:
    clock = Clock()
    totals = Totals(max_instances=2, clock=clock)
    for _ in range(5):
        for instance in "abcd":
            told(totals, instance, 1, 10)
        clock.now += 1
    assert totals.by(["appnet.calls"], []) == {(): 2}
    assert totals.refused == 20, "calls and durations of two instances, five times"
    clock.now += 60
    told(totals, "c", 1, 10)
    assert totals.by(["appnet.calls"], []) == {(): 3}, "there is room"


def test_a_clock_that_was_set_back_does_not_stop_counts() -> None:
    totals, hour = Totals(), 3_600 * 10**9
    told(totals, "a", 5, 2 * hour)
    told(totals, "a", 6, hour)
    assert totals.by(["appnet.calls"], []) == {(): 6}


def test_series_are_bounded() -> None:
    totals = Totals(max_series=3)
    for number in range(5):
        totals.add(Point("appnet.calls", {"rpc.method": str(number)}, {"service.instance.id": "i"}, 1, 0, 1))
    assert totals.by(["appnet.calls"], []) == {(): 3}
    assert totals.refused == 2


def test_what_is_kept_of_all_instances_is_bounded() -> None:
    clock = Clock()
    totals = Totals(max_instances=4, max_size=100_000, clock=clock)
    for instance in range(40):
        for number in range(20):
            attributes = {"rpc.method": f"{number}{'x' * 900}"}
            totals.add(Point("appnet.calls", attributes, {"service.instance.id": str(instance)}, 1, 0, 1))
        clock.now += 60
    kept = list(totals.series())
    assert 15 < len(kept) < 30, "5 KB each"
    assert totals.by(["appnet.calls"], []) == {(): 800 - totals.refused}


def test_prometheus_reads_whatever_names_are() -> None:
    totals, odd = Totals(max_series=1), 'a"b\\c\nd\re\0f\x1b[31m\u2028\U0001f600{}='
    for method in (odd, "refused"):
        resource = {"service.instance.id": "i", "appnet.client": odd}
        totals.add(Point("appnet.calls", {"rpc.method": method}, resource, 2**63 - 1, 0, 1))
    body = metrics_page(chain_metrics(totals)).body
    assert isinstance(body, bytes)
    families = {it.name: it.samples for it in text_string_to_metric_families(body.decode())}
    (calls,) = families["appnet_calls"]
    assert (calls.labels["rpc_method"], calls.labels["appnet_client"]) == (odd, odd)
    assert [it.value for it in families["appnet_points_refused"]] == [1]


def test_quantiles() -> None:
    histogram = Histogram(0, -2, (1, 2, 1), 3.0)  # above 1/4, 1/2 and 1
    assert histogram.quantile(0.25) == 2**-1.5
    assert histogram.quantile(0.5) == 2**-0.5
    assert histogram.quantile(1.0) == 2**0.5
    assert histogram.plus(Histogram(0, -3, (4,), 1.0)) == Histogram(0, -3, (4, 1, 2, 1), 4.0)
    assert histogram.plus(Histogram(0, -1, (2, 1), 2.0), -1) == Histogram(0, -2, (1, 0, 0), 1.0)
