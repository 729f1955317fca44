"""Pages say what runs and what came of it; whatever names and values are, they stay text; other sites see nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urldefrag, urljoin

import pytest
from aiohttp import ClientSession

from appnet.control.rollout import RolloutError
from appnet.deploy.kubernetes.operator.application import ClusterApplication, Surroundings
from appnet.deploy.kubernetes.operator.pages import Pages
from appnet.deploy.kubernetes.operator.world import World
from appnet.observe import OtlpReceiver
from appnet.observe.kept import Keep
from appnet.observe.points import CALLS, CLIENT, ENTRIES, PROCESSOR, SERVER, VARIABLE
from appnet.observe.points import ELEMENT as AN_ELEMENT
from appnet.observe.records import Records
from appnet.observe.store import RecordStore
from appnet.observe.telemetry import Telemetry
from appnet.system.address import ANY_LOCAL_PORT
from tests.dashboard.shown import HOSTILE, Markup, echo, got, many, point, refusal, running, served
from tests.support.asynchronous import asynchronous

ELEMENT = "element?client=frontend&server=server&element=firewall"
EDGE = "edge?client=frontend&server=server"


async def crawled(session: ClientSession, url: str) -> dict[str, Markup]:
    """All pages and pictures that can be reached, by address."""
    found: dict[str, Markup] = {}
    waiting = [f"{url}/dashboard/"]
    while waiting:
        address = waiting.pop()
        if address in found:
            continue
        status, text = await got(session, address)
        assert status == 200, address
        page = found[address] = Markup(text)
        waiting += [urldefrag(urljoin(address, it))[0] for it in page.links]
        for it in page.sources:
            if not it.startswith("data:"):
                assert (await got(session, urljoin(address, it)))[0] == 200, it
    return found


@asynchronous
async def test_every_link_leads_somewhere() -> None:
    async with served() as (shown, url, _), ClientSession() as session:
        shown.traffic(1_000)
        shown.telemetry.refusals.add(refusal())
        pages = await crawled(session, url)
        names = {it.removeprefix(f"{url}/dashboard/").partition("?")[0] for it in pages}
        assert names == {"", "edge", "element", "refusals", "refusal", "records", "rollout"}
        assert len([it for it in pages if "element?" in it]) == 4
        for it in pages.values():
            assert {"main", "h1", "nav"} <= it.tags


@asynchronous
async def test_pages_tell_what_is_known() -> None:
    async with served() as (shown, url, _), ClientSession() as session:
        shown.traffic(1_000)
        shown.telemetry.refusals.add(refusal())
        shown.telemetry.totals.add(point(ENTRIES, 7, **{AN_ELEMENT: "firewall", VARIABLE: "seen"}))

        async def text(page: str) -> str:
            return " ".join(Markup((await got(session, f"{url}/dashboard/{page}"))[1]).text.split())

        assert "frontend → server – – – – – 1,000 fault + logging + metrics | firewall" in await text("")
        edge = await text(EDGE)
        assert "expected CPU per RPC" in edge
        assert echo().id in edge
        assert "firewall 4 server's sidecar native – 500" in edge
        assert f"firewall.seen {echo().artifacts[-1].version} 7" in edge
        assert "10 minutes ago" in edge
        element = await text(ELEMENT)
        assert "1a.1b otherwise refuse 'firewall' with code 10 – 500 100 %" in element
        assert "acl Map<string, string> read-only" in element
        why = await text("refusal?number=1")
        assert "It refused in row 1a.1b of `req`" in why
        assert 'the entry of acl at "test" "No"' in why
        assert "Run again on the interpreter, it refuses in the same row." in why
        assert "0123456789ab until noon" in await text("rollout")


@pytest.mark.parametrize("page", ["edge?client=a&server=b", "element?element=x", "refusal?number=2", "refusal?number=-1", "refusal?number=" + "9" * 5_000, "chain.svg?chain=9"])  # fmt: skip
@asynchronous
async def test_what_is_not_there(page: str) -> None:
    async with served() as (_, url, _), ClientSession() as session:
        status, text = await got(session, f"{url}/dashboard/{page}")
        assert status == 404
        assert "Traceback" not in text


@asynchronous
async def test_hostile_names_stay_text() -> None:
    async with served() as (shown, url, _), ClientSession() as session:
        shown.hostile()
        shown.traffic(10)
        plain = await crawled(session, url)
    async with served() as (shown, url, _), ClientSession() as session:
        shown.traffic(10)
        usual = await crawled(session, url)
    for attribute in ("tags", "attributes"):
        before: set[str] = set().union(*(getattr(it, attribute) for it in usual.values()))
        now: set[str] = set().union(*(getattr(it, attribute) for it in plain.values()))
        assert now == before, "no markup that usual names would not bring"
    told = [it.text for it in plain.values() if "alert(1)" in it.text]
    assert len(told) > 5, "it is told all the same"
    assert all(HOSTILE not in it and "\u202e" not in it and "\0" not in it for it in told)


@asynchronous
async def test_pages_may_load_nothing_but_their_own() -> None:
    async with served() as (_, url, _), ClientSession() as session:
        for page in ("", EDGE, "nothing", "dashboard.js", "chain.svg?chain=0", "events?page=nothing"):
            async with session.get(f"{url}/dashboard/{page}") as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "unsafe" not in policy or answer.content_type == "image/svg+xml"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                text = await answer.text()
                assert " style=" not in text
                assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(("headers", "status"), [
    ({}, 200),
    ({"Host": "localhost:80"}, 200),
    ({"Host": "[::1]"}, 200),
    ({"Host": "attacker.example"}, 403),
    ({"Host": "127.0.0.1.attacker.example:18002"}, 403),
    ({"Host": "[::1"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "empty"}, 403),
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "image"}, 403),
])  # fmt: skip
@asynchronous
async def test_other_sites_see_nothing(headers: Mapping[str, str], status: int) -> None:
    async with served() as (_, url, _), ClientSession() as session:
        assert (await got(session, f"{url}/dashboard/", headers))[0] == status
        async with session.get(f"{url}/dashboard/events?page=", headers=headers) as answer:
            assert answer.status == status


async def raw(url: str, header: bytes) -> bytes:
    """What a button is answered whose request has this header."""
    host, port = url.removeprefix("http://").split(":")
    reading, writing = await asyncio.open_connection(host, int(port))
    head = f"POST /dashboard/act?application=echo&action=undo HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
    writing.write(head.encode() + header + b"\r\n\r\n")
    answer = await reading.read()
    writing.close()
    return answer


@asynchronous
async def test_only_who_knows_the_token_changes_anything() -> None:
    done: list[str] = []

    async def undo() -> str:
        done.append("undo")
        if len(done) > 1:
            raise RolloutError("no version ran before this one")
        return "rollout undo: version v1"

    async def posted(session: ClientSession, url: str, word: str = "undo", **headers: str) -> tuple[int, str]:
        query = {"application": "echo", "action": word}
        async with session.post(f"{url}/dashboard/act", params=query, headers=headers) as answer:
            return answer.status, await answer.text()

    for token in (None, "s3cret"):
        async with served(token=token) as (shown, url, _), ClientSession() as session:
            shown.running = [replace(running(), actions={"undo": undo})]
            assert ("Undo echo" in (await got(session, f"{url}/dashboard/rollout"))[1]) is (token is not None)
            for shows in ("", "s3cre", "s3cret" if token is None else "s3crets"):
                assert (await posted(session, url, **{"X-AppNet-Token": shows}))[0] == 403
            assert (await posted(session, url))[0] == 403
            assert (await raw(url, b"X-AppNet-Token: \xff\xfe")).startswith(b"HTTP/1.1 403 ")
            assert done == []
            if token is None:
                continue
            right = {"X-AppNet-Token": token}
            assert (await posted(session, url, **right, **{"Sec-Fetch-Site": "cross-site"}))[0] == 403
            assert (await posted(session, url, **right, Host="attacker.example"))[0] == 403
            assert (await posted(session, url, "format", **right))[0] == 404
            assert (await posted(session, url, **right)) == (200, "rollout undo: version v1\n")
            assert (await posted(session, url, **right)) == (409, "no version ran before this one\n")


@asynchronous
async def test_a_token_on_its_way_from_elsewhere_changes_nothing() -> None:
    async def undo() -> str:
        raise AssertionError("nobody may do this from there")

    async with served(token="s3cret", viewer="10.1.2.3") as (shown, url, _), ClientSession() as session:
        shown.running = [replace(running(), actions={"undo": undo})]
        assert "password" not in (await got(session, f"{url}/dashboard/rollout"))[1]
        query, headers = {"application": "echo", "action": "undo"}, {"X-AppNet-Token": "s3cret"}
        async with session.post(f"{url}/dashboard/act", params=query, headers=headers) as answer:
            assert answer.status == 403


@asynchronous
async def test_the_root_leads_there() -> None:
    async with served() as (_, url, _), ClientSession() as session:
        for path in ("/", "/dashboard"):
            async with session.get(url + path) as answer:
                assert (answer.status, str(answer.url)) == (200, f"{url}/dashboard/")
        assert (await got(session, f"{url}/dashboard/dashboard.css"))[0] == 200


@asynchronous
async def test_many_edges_are_a_table_alone() -> None:
    async with served() as (shown, url, _), ClientSession() as session:
        assert "svg" in Markup((await got(session, f"{url}/dashboard/"))[1]).tags
        shown.running = [many(1_000)]
        page = Markup((await got(session, f"{url}/dashboard/"))[1])
        assert "svg" not in page.tags
        assert "1,001 edges are too many for a picture" in page.text
        assert len([it for it in page.links if it.startswith("edge?")]) == 1_001


@asynchronous
async def test_nothing_runs_yet() -> None:
    async with served() as (shown, url, _), ClientSession() as session:
        shown.running = []
        pages = await crawled(session, url)
        assert "No application runs yet." in pages[f"{url}/dashboard/"].text


@asynchronous
async def test_namespaces_are_told_apart() -> None:
    async with served(clustered=True) as (shown, url, _), ClientSession() as session:
        for name in ("one", "two"):
            shown.telemetry.totals.add(point(CALLS, 3, **{PROCESSOR: f"pod.{name}", CLIENT: "a", SERVER: "b"}))
        text = " ".join(Markup((await got(session, f"{url}/dashboard/"))[1]).text.split())
        assert "one: a → b" in text
        assert "two: a → b" in text


def test_the_latest_records_of_all_streams() -> None:
    store = RecordStore(capacity=3)
    for number in range(5):
        store.add(Records("log", "seen", {}, [10 * number], [number]))
        store.add(Records("other", "seen", {}, [10 * number + 5], [str(number)]))
    assert [(number, it.value) for number, it in store.latest(4)] == [(5, "4"), (5, 4), (4, "3"), (4, 3)]
    assert [(number, it.value) for number, it in store.latest(9, "log")] == [(5, 4), (4, 3), (3, 2)]
    assert store.latest(3, "nobody") == []


@asynchronous
async def test_the_controller_shows_its_applications() -> None:
    telemetry = Telemetry(OtlpReceiver(), Keep(Path("nowhere")), None)
    around = Surroundings(World(), *(cast("Any", None),) * 3, ANY_LOCAL_PORT, None, *(cast("Any", None),) * 2)
    application = ClusterApplication(("shop", "echo"), around)
    application.rollout.begin(echo(), "first")
    async with Pages(ANY_LOCAL_PORT, telemetry) as pages, ClientSession() as session:
        assert pages._runner is not None
        url = "http://{}:{}".format(*pages._runner.addresses[0][:2])
        assert "No application runs yet." in Markup((await got(session, f"{url}/"))[1]).text
        pages.applications = lambda: [application]
        found = await crawled(session, url)
        assert "shop: frontend → server" in found[f"{url}/dashboard/"].text
        rollout = " ".join(found[f"{url}/dashboard/rollout"].text.split())
        assert f"shop/echo {echo().id} – 0 of 0" in rollout
        for page in ("totals", "records/sums", "traces", "refusals?call=x", "metrics", "dashboard/"):
            assert (await got(session, f"{url}/{page}"))[0] == 200
            assert (await got(session, f"{url}/{page}", {"Host": "attacker.example"}))[0] == 403
        assert "appnetctl rollout pause NAME -n shop" in rollout
        assert re.search(rf"shop/echo {echo().id} since [\d-]+ [\d:]+: first", rollout)
