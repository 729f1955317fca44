"""What changes comes as events: enough to keep a page as it is told to be, for viewers however slow they are."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from appnet.dashboard import server
from appnet.dashboard.model import Cell, Column, Page, Row, Sent, Table
from appnet.dashboard.server import MOST_STREAMS
from appnet.observe.points import CALLS, CLIENT
from tests.dashboard.shown import got, point, refusal, running, served
from tests.support.asynchronous import asynchronous, eventually


async def news(session: ClientSession, address: str) -> AsyncIterator[dict[str, Any]]:
    async with session.get(address) as answer:
        assert answer.content_type == "text/event-stream"
        while line := await answer.content.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def texts(told: dict[str, Any], table: str) -> dict[str, list[str]]:
    return {row[0][0]: [it[0] for it in row] for _, _, row in told["tables"][table]["rows"]}


@asynchronous
async def test_first_everything_then_what_changed() -> None:
    async with served() as (shown, url, _), ClientSession() as session:
        shown.traffic(1_000)
        async with asyncio.timeout(60):
            came = news(session, f"{url}/dashboard/events?page=")
            first = await anext(came)
            assert {"edges", "refusing", "refusals"} <= first["tables"].keys()
            assert first["frame"]
            assert texts(first, "edges")["frontend → server"][6] == "1,000"
            shown.traffic(2_000)
            second = await anext(came)
            assert texts(second, "edges")["frontend → server"][6] == "2,000"
            assert float(texts(second, "edges")["frontend → server"][1].replace(",", "")) > 0
            assert "frame" not in second
            async for it in came:
                if "refusals" in it.get("tables", {}):
                    break
                if shown.telemetry.refusals.last_of("firewall") is None:
                    shown.telemetry.refusals.add(refusal())
            assert [it[1] for it in texts(it, "refusals").values()] == ["firewall"]
            shown.running = [running(), running()]
            async for it in came:
                if "frame" in it:
                    break
            await came.aclose()


@asynchronous
async def test_of_a_page_that_is_not_there() -> None:
    async with served() as (_, url, _), ClientSession() as session:
        assert [await anext(news(session, f"{url}/dashboard/events?page=edge&client=x"))] == [{"frame": "gone"}]
        for still in ("refusal&number=1", "nothing"):
            assert (await got(session, f"{url}/dashboard/events?page={still}"))[0] == 404


@asynchronous
async def test_there_are_only_so_many() -> None:
    async with served() as (_, url, dashboard), ClientSession() as session:
        answers = [await session.get(f"{url}/dashboard/events?page=records") for _ in range(MOST_STREAMS)]
        async with session.get(f"{url}/dashboard/events?page=records") as answer:
            assert answer.status == 503
        answers[0].close()
        answers[1].close()
        shown_again = f"{url}/dashboard/events?page=rollout"
        async with asyncio.timeout(60):
            while (await session.get(shown_again)).status != 200:
                await asyncio.sleep(0.1)
    assert dashboard._streams == 0, "they end with the server"


@asynchronous
async def test_who_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(server, "_STUCK_SECONDS", 0.5)
    async with served() as (shown, url, dashboard), ClientSession() as session:
        names = [f"{number} {'x' * 1_000}" for number in range(60)]
        for name in names:
            shown.telemetry.totals.add(point(CALLS, 1, "v", **{CLIENT: name}))
        host, port = url.removeprefix("http://").split(":")
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.connect((host, int(port)))
            stuck.sendall(f"GET /dashboard/events?page= HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            await eventually(lambda: dashboard._streams == 1, 60)
            calls = 1
            other = news(session, f"{url}/dashboard/events?page=")
            await anext(other)
            for _ in range(1_000):
                if dashboard._streams == 1:
                    break
                calls += 1
                for name in names:
                    shown.telemetry.totals.add(point(CALLS, calls, "v", **{CLIENT: name}))
                assert (await anext(other))["tables"], "others get theirs"
            assert dashboard._streams == 1
            await other.aclose()


def test_news_make_a_page_what_it_is() -> None:
    draw = random.Random(1)
    sent, shown = Sent(), dict[str, tuple[str, ...]]()
    for _ in range(300):
        keys = draw.sample("abcdefgh", draw.randrange(9))
        keys = sorted(keys) if draw.random() < 0.8 else keys
        rows = [Row(key, (Cell(key), Cell(str(draw.randrange(2))))) for key in keys]
        told = sent.news(Page("x", (Table("t", "", (Column("a"), Column("b")), rows, ""),)))
        change = told.get("tables", {}).get("t", {})
        if "keys" in change:
            shown = {key: it for key, it in shown.items() if key in change["keys"]}
        for key, behind, cells in change.get("rows", ()):
            row = tuple(it[0] for it in cells)
            if key in shown:
                shown[key] = row
                continue
            order = list(shown)
            order.insert(order.index(behind) + 1 if behind else 0, key)
            shown = {it: row if it == key else shown[it] for it in order}
        if "keys" in change:
            shown = {key: shown[key] for key in change["keys"]}
        assert list(shown) == keys
        assert shown == {it.key: tuple(cell.text for cell in it.cells) for it in rows}
        assert not told or change or "frame" in told
