"""Spans are kept within bounds, and there again after a restart; pages and commands show them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from appnet.cli.commands.traces import trace_lines
from appnet.observe.database import FILE
from appnet.observe.kept import Keep, Kept
from appnet.observe.spans import Span
from appnet.observe.spans_kept import span_document
from appnet.observe.store import RecordStore
from appnet.observe.totals import Totals
from appnet.observe.traces_page import Arrivals, TracesPage
from appnet.system.address import ANY_LOCAL_PORT
from appnet.system.http import serve_http
from tests.observe.spans import span
from tests.observe.test_kept import Clock, kept, record
from tests.support.asynchronous import asynchronous

SECOND = 10**9


def ids(*traces: int) -> list[str]:
    return [f"{it:032x}" for it in traces]


@asynchronous
async def test_spans_are_there_again_as_they_were(tmp_path: Path) -> None:
    mixed = {"text": "é", "bytes": b"\xff", "whole": -1, "real": 0.5, "yes": True, "pair": ("a", 1), "none": None}
    sent = [span(1, 1), span(1, 2, parent=1, **mixed), span(2, 3)]
    async with kept(tmp_path) as store:
        for it in sent:
            store.add_span(it)
        assert await store.trace(*ids(1)) == sent[:2], "before they are written"
        assert await store.last_traces(10) == ids(1, 2)
        await store.flush()
        store.add_span(span(1, 4, parent=2))
        assert await store.last_traces(10) == ids(2, 1)
        assert len(await store.trace(*ids(1))) == 3, "written and not"
    async with kept(tmp_path) as store:
        assert (await store.trace(*ids(1)))[:2] == sent[:2]
        assert await store.last_traces(1) == ids(1)
        assert await store.trace("f" * 32) == []


@asynchronous
async def test_old_spans_go(tmp_path: Path) -> None:
    clock = Clock()
    async with kept(tmp_path, clock, seconds=60) as store:
        store.add_span(span(1, 1))
        await store.flush()
        clock.now += 40 * SECOND
        store.add_span(span(2, 2))
        await store.flush()
        assert await store.last_traces(10) == ids(1, 2)
        assert await store.last_traces(10, clock.now - 10 * SECOND) == ids(2)
        clock.now += 30 * SECOND
        await store.flush()
        assert await store.last_traces(10) == ids(2)
        assert await store.trace(*ids(1)) == []


@asynchronous
async def test_spans_take_no_more_of_the_disk_than_they_may(tmp_path: Path) -> None:
    clock, most = Clock(), 1 << 20
    async with kept(tmp_path, clock, bytes=most) as store:
        for number in range(1, 6_001):
            store.add_span(span(number, number, name=f"{number * 7919:x}" * 20))
            if number % 100 == 0:
                clock.now += SECOND
                store.add(record(f"{number * 7919:x}" * 1_000))
                await store.flush()
        found = await store.last_traces(10_000)
        assert 500 < len(found) < 5_000
        assert found[-1] == ids(6_000)[0]
        assert (tmp_path / FILE).stat().st_size <= most
        assert store.lost() == []


@asynchronous
async def test_a_file_from_before_there_were_spans(tmp_path: Path) -> None:
    async with kept(tmp_path) as store:
        store.add(record("kept"))
    connection = sqlite3.connect(tmp_path / FILE)
    connection.executescript("DROP VIEW came; DROP TABLE spans; PRAGMA user_version = 1;")
    connection.close()
    async with kept(tmp_path) as store:
        store.add_span(span(1, 1))
        await store.flush()
        assert await store.last_traces(10) == ids(1)
        assert len(store._records.counts()) == 1


@asynchronous
async def test_what_comes_faster_than_the_disk_takes_it_is_counted(tmp_path: Path) -> None:
    store, one = kept(tmp_path), span(1, 1)
    for _ in range(50_010):
        store.add_span(one)
    assert store.dropped_spans == 10
    assert store.lost() == ["10 spans were not kept"]


@asynccontextmanager
async def page(folder: Path) -> AsyncIterator[tuple[str, Callable[[Span], None]]]:
    arrivals = Arrivals()
    async with Kept(Keep(folder), RecordStore(), Totals()) as store:
        application = web.Application()
        TracesPage(store, arrivals).add_to(application)
        runner = await serve_http(application, ANY_LOCAL_PORT)

        def add(one: Span) -> None:
            store.add_span(one)
            arrivals.add(one)

        try:
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}/traces", add
        finally:
            await runner.cleanup()


async def asked(url: str, **query: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
        assert answer.status == 200
        return [json.loads(it) for it in (await answer.text()).splitlines()]


@asynchronous
async def test_the_page(tmp_path: Path) -> None:
    async with page(tmp_path) as (url, add):
        assert await asked(url) == []
        for number in range(1, 15):
            add(span(number, number))
        add(span(1, 99, parent=1, start_ns=500))
        assert [it["trace_id"] for it in await asked(url)] == ids(*range(6, 15), 1)
        assert [it["trace_id"] for it in await asked(url, last="2")] == ids(14, 1)
        assert len(await asked(url, since="60")) == 14
        (one,) = await asked(url, id=ids(1)[0])
        assert [it["span_id"] for it in one["spans"]] == [f"{99:016x}", f"{1:016x}"], "by their beginnings"
        assert await asked(url, id="f" * 32) == []
        async with aiohttp.ClientSession() as session:
            for wrong in ({"id": "x"}, {"last": "x"}, {"since": "-1"}, {"id": "F" * 32}):
                async with session.get(url, params=wrong) as answer:
                    assert answer.status == 400


@asynchronous
async def test_who_follows_sees_whole_traces(tmp_path: Path) -> None:
    following = {"last": "0", "follow": "true"}
    async with (
        page(tmp_path) as (url, add),
        aiohttp.ClientSession() as session,
        session.get(url, params=following) as answer,
    ):
        add(span(1, 1))
        add(span(1, 2, parent=1))
        found = json.loads(await asyncio.wait_for(answer.content.readline(), 30))
        assert [it["span_id"] for it in found["spans"]] == [f"{1:016x}", f"{2:016x}"]


def lines(*spans: Span) -> list[str]:
    return list(trace_lines({"trace_id": spans[0].trace_id, "spans": [span_document(it) for it in spans]}))


def test_a_trace_is_shown_as_a_tree() -> None:
    status = {"rpc.response.status_code": "OK"}
    first, second, apart = span(1, 1, **status), span(1, 2, parent=1, start_ns=11_000), span(1, 3, parent=77)
    head, *rest = lines(first, second, apart)
    assert head.startswith(f"trace {ids(1)[0]} at ")
    assert head.endswith(": 3 spans in 2.01 ms")
    assert rest == [
        "  +0 µs shop → stock (client) echo  2 ms  OK  version v1",
        "    +1 µs wall req row 1a forward",
        "    +10 µs shop → stock (client) echo  2 ms  version v1",
        "      +11 µs wall req row 1a forward",
        "  +0 µs shop → stock (client) echo  2 ms  version v1",
        "    +1 µs wall req row 1a forward",
    ]


@pytest.mark.parametrize("parents", [[1], [2, 1], [2, 3, 1], [2, 3, 2]])
def test_spans_that_are_one_anothers_parents_are_shown_once(parents: list[int]) -> None:
    spans = [span(1, number, parent=it) for number, it in enumerate(parents, 1)]
    assert len([it for it in lines(*spans) if "→" in it]) == len(parents)


def test_a_long_line_of_spans_is_no_depth_of_calls() -> None:
    spans = [span(1, number, parent=number - 1) for number in range(1, 3_000)]
    assert max(map(len, lines(*spans))) < 120


def test_a_programs_own_span_needs_nothing_of_appnet() -> None:
    plain = span(1, 1)._replace(
        resource={"service.name": "shop"}, events=(), attributes={"http.route": "/"}, failed=True
    )
    assert lines(plain)[1] == "  +0 µs shop echo  2 ms  ERROR"
