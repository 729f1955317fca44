"""Records as the controller serves them and `appnetctl` reads them, without a cluster."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from appnet.deploy.kubernetes.client.cluster import ClusterError
from appnet.deploy.kubernetes.client.records import OnHost, RecordsAsked
from appnet.deploy.local.program import free_port
from appnet.observe.kept import Keep, Kept
from appnet.observe.points import CALLS, CLIENT, INSTANCE, METHOD, SERVER, SIDE, VERSION, Point
from appnet.observe.records import Record, Records, RecordValue
from appnet.observe.records_page import RecordsPage
from appnet.observe.store import RecordStore
from appnet.observe.totals import Totals
from appnet.observe.totals_page import TotalsPage
from appnet.system.address import Address
from appnet.system.http import serve_http


def record(value: RecordValue, time_ns: int, element: str = "log") -> Record:
    return Record(time_ns, element, "seen", value, {"appnet.processor": "frontend-1.default"})


@dataclass
class Stores:
    """What a receiver hands records and points to."""

    records: RecordStore
    totals: Totals
    kept: Kept

    def add(self, record: Record) -> None:
        self.records.add(Records.of(record))
        self.kept.add(Records.of(record))


@asynccontextmanager
async def served(stores: Stores) -> AsyncIterator[OnHost]:
    application, address = web.Application(), Address("127.0.0.1", free_port())
    RecordsPage(stores.records, stores.kept).add_to(application)
    TotalsPage(stores.totals, stores.kept).add_to(application)
    runner = await serve_http(application, address)
    try:
        yield OnHost(address)
    finally:
        await asyncio.wait_for(runner.cleanup(), 10)  # also while somebody follows


def asked_for(asked: OnHost, **wanted: Any) -> list[dict[str, Any]]:
    with asked.records(RecordsAsked(**wanted)) as found:
        return list(found)


def last(asked: OnHost, tail: int) -> list[dict[str, Any]]:
    return asked_for(asked, tail=tail)


def with_records(
    work: Callable[[OnHost, Stores], Any], *records: Record, folder: Path | None = None, points: Iterable[Point] = ()
) -> Any:
    async def all_of_it(place: Path) -> Any:
        counted, totals = RecordStore(), Totals()
        async with Kept(Keep(place), counted, totals) as kept:
            stores = Stores(counted, totals, kept)
            for it in records:
                stores.add(it)
            for point in points:
                totals.add(point)
            async with served(stores) as asked:
                return await asyncio.to_thread(work, asked, stores)

    with tempfile.TemporaryDirectory() as temporary:
        return asyncio.run(all_of_it(folder or Path(temporary)))


def test_records_of_before_are_there_after_a_restart(tmp_path: Path) -> None:
    now = time.time_ns()
    old = [record(it, now - (100 - it) * 60 * 10**9, "log" if it % 2 else "other") for it in range(100)]
    with_records(lambda asked, _: last(asked, 1), *old, folder=tmp_path)

    def ask(asked: OnHost, stores: Stores) -> None:
        stores.add(record("new", time.time_ns()))
        assert [it["value"] for it in last(asked, 3)] == [98, 99, "new"]
        assert [it["value"] for it in asked_for(asked, tail=None, since=330)] == [95, 96, 97, 98, 99, "new"]
        assert [it["value"] for it in asked_for(asked, tail=2, since=330)] == [99, "new"]
        assert [it["value"] for it in asked_for(asked, elements=frozenset(["other"]), tail=2)] == [96, 98]
        assert asked_for(asked, elements=frozenset(["nobody"]), tail=2) == []
        assert len(asked_for(asked, elements=frozenset(["other", "log"]), tail=1_000)) == 101
        assert len(asked_for(asked, namespace="default", tail=1_000)) == 101
        assert asked_for(asked, namespace="elsewhere", tail=1_000) == []
        sums = {it["element"]: it["count"] for it in asked.sums()["streams"]}
        assert sums == {"log": 51, "other": 50}

    with_records(ask, folder=tmp_path)


def test_counts_of_before_are_there_after_a_restart(tmp_path: Path) -> None:
    def point(value: int, instance: str) -> Point:
        return Point(
            CALLS, {METHOD: "echo.Echo/echo"},
            {CLIENT: "a", SERVER: "b", SIDE: "client", VERSION: "1", INSTANCE: instance}, value, 1, 1,
        )  # fmt: skip

    with_records(lambda asked, _: asked.totals(), points=[point(7, "one")], folder=tmp_path)

    def ask(asked: OnHost, stores: Stores) -> None:
        stores.totals.add(point(3, "two"))
        before, after = asked.totals(3600), asked.totals()
        assert [it["count"] for it in before["calls"]] == [7]
        assert [it["count"] for it in after["calls"]] == [10]
        assert 0 < after["time"] - before["time"] < 600
        with asked._asked("/totals/over?seconds=120&step=60&element=wall", 60) as answer:
            steps = json.loads(answer.read())["steps"]
        assert [it["calls"] for it in steps] == [[], [], []], "of an element that is not there"

    with_records(ask, folder=tmp_path)


@pytest.mark.parametrize("path", [
    "/records?tail=x", "/records?since=x", "/records?since=-1", "/records?since=nan", "/totals?ago=inf",
    "/totals/over?seconds=1000000&step=1", "/records/sums?ago=x",
])  # fmt: skip
def test_questions_that_make_no_sense(path: str) -> None:
    def ask(asked: OnHost, _: Stores) -> None:
        with pytest.raises(urllib.error.HTTPError) as found:
            urllib.request.urlopen(f"http://{asked._address}{path}", timeout=60)
        assert found.value.code == 400

    with_records(ask)


def test_the_last_ones_come_in_the_order_of_their_times() -> None:
    records = [record(1, 30), record(2, 10), record("three", 20, element="other"), record(b"\xff", 40)]
    found = with_records(lambda asked, _: last(asked, 3), *records)
    assert [it["value"] for it in found] == ["three", 1, {"base64": "/w=="}]
    assert found[0]["resource"] == {"appnet.processor": "frontend-1.default"}
    assert with_records(lambda asked, _: last(asked, 0), *records) == []


def test_whoever_follows_gets_each_record_once() -> None:
    def follow(asked: OnHost, store: Stores) -> list[Any]:
        with asked.records(RecordsAsked(1, follow=True)) as found:
            values = [next(found)["value"]]
            for number in range(3):
                store.add(record(number, 100 + number))
                store.add(record(number, 100 + number, element="other"))
                values += [next(found)["value"], next(found)["value"]]
            return values

    assert with_records(follow, record("before", 1)) == ["before", 0, 0, 1, 1, 2, 2]


def test_sums() -> None:
    records = [record(it, 1, element="time") for it in (0.1, 0.2, 0.3)]
    (log, time) = with_records(lambda asked, _: asked.sums()["streams"], *records, record((1, "a"), 1))
    assert (log["element"], log["count"], log["latest"], log["median"]) == ("log", 1, [1, "a"], None)
    assert (time["element"], time["count"], time["median"], time["p99"]) == ("time", 3, 0.2, 0.3)


@pytest.mark.parametrize("ask", [OnHost.sums, OnHost.totals])
@pytest.mark.parametrize("text", ["", "[]", "null", '"x"', "[" * 100_000])
def test_who_answers_something_else(text: str, ask: Callable[[OnHost], object]) -> None:
    async def other() -> None:
        async def page(_: web.Request) -> web.Response:
            return web.Response(text=text)

        address, application = Address("127.0.0.1", free_port()), web.Application()
        application.router.add_get("/{path:.*}", page)
        runner = await serve_http(application, address)
        try:
            await asyncio.to_thread(ask, OnHost(address))
        finally:
            await runner.cleanup()

    with pytest.raises(ClusterError, match="is not AppNet's controller"):
        asyncio.run(other())


def test_what_is_no_controller() -> None:
    async def other() -> None:
        address = Address("127.0.0.1", free_port())
        runner = await serve_http(web.Application(), address)
        try:
            await asyncio.to_thread(OnHost(address).sums)
        finally:
            await runner.cleanup()

    with pytest.raises(ClusterError, match="is not AppNet's controller"):
        asyncio.run(other())
    with pytest.raises(ClusterError, match=r"no controller answers at 127\.0\.0\.1:1: Connection refused"):
        OnHost(Address("127.0.0.1", 1)).sums()
