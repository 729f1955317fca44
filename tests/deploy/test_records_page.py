"""Records as the controller serves them and `appnetctl` reads them, without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from appnet.deploy.kubernetes.client.cluster import ClusterError
from appnet.deploy.kubernetes.client.records import OnHost
from appnet.deploy.local.program import free_port
from appnet.observe.records import Record, RecordValue
from appnet.observe.records_page import RecordsPage
from appnet.observe.store import RecordStore
from appnet.system.address import Address
from appnet.system.http import serve_http


def record(value: RecordValue, time_ns: int, element: str = "log") -> Record:
    return Record(time_ns, element, "seen", value, {"appnet.processor": "frontend-1.default"})


@asynccontextmanager
async def served(store: RecordStore) -> AsyncIterator[OnHost]:
    application, address = web.Application(), Address("127.0.0.1", free_port())
    RecordsPage(store).add_to(application)
    runner = await serve_http(application, address)
    try:
        yield OnHost(address)
    finally:
        await asyncio.wait_for(runner.cleanup(), 10)  # also while somebody follows


def last(asked: OnHost, tail: int) -> list[dict[str, Any]]:
    with asked.records(tail, follow=False) as found:
        return list(found)


def with_records(work: Callable[[OnHost, RecordStore], Any], *records: Record) -> Any:
    async def all_of_it() -> Any:
        store = RecordStore()
        for it in records:
            store.add(it)
        async with served(store) as asked:
            return await asyncio.to_thread(work, asked, store)

    return asyncio.run(all_of_it())


def test_the_last_ones_come_in_the_order_of_their_times() -> None:
    records = [record(1, 30), record(2, 10), record("three", 20, element="other"), record(b"\xff", 40)]
    found = with_records(lambda asked, _: last(asked, 3), *records)
    assert [it["value"] for it in found] == ["three", 1, {"base64": "/w=="}]
    assert found[0]["resource"] == {"appnet.processor": "frontend-1.default"}
    assert with_records(lambda asked, _: last(asked, 0), *records) == []


def test_whoever_follows_gets_each_record_once() -> None:
    def follow(asked: OnHost, store: RecordStore) -> list[Any]:
        with asked.records(1, follow=True) as found:
            values = [next(found)["value"]]
            for number in range(3):
                store.add(record(number, 100 + number))
                store.add(record(number, 100 + number, element="other"))
                values += [next(found)["value"], next(found)["value"]]
            return values

    assert with_records(follow, record("before", 1)) == ["before", 0, 0, 1, 1, 2, 2]


def test_sums() -> None:
    records = [record(it, 1, element="time") for it in (0.1, 0.2, 0.3)]
    (log, time) = with_records(lambda asked, _: asked.sums(), *records, record((1, "a"), 1))
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
