"""A dashboard of the echo sample as compiled, with telemetry that tests make up."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

from aiohttp import ClientSession, web

from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import Version, compile_application
from appnet.dashboard import Dashboard, Running
from appnet.dashboard.running import Past
from appnet.diagnostics.source import FileSource
from appnet.observe import OtlpReceiver, Records, Refusal
from appnet.observe.kept import Keep
from appnet.observe.points import (
    CALLS,
    CLIENT,
    ELEMENT,
    HANDLER,
    INSTANCE,
    METHOD,
    PROCESSOR,
    REFUSALS,
    ROW,
    ROW_HITS,
    SERVER,
    SIDE,
    STATUS,
    VERSION,
    Point,
    Value,
)
from appnet.observe.refusals import Kind, Read, Told
from appnet.observe.telemetry import Telemetry
from appnet.optimize import Settings
from appnet.system.address import ANY_LOCAL_PORT
from appnet.system.http import Handler, own_pages, serve_http
from tests.quickstart.support import sample

ECHO = "echo.EchoService/echo"
_MOMENTS = itertools.count(1)
_LATER = 2**62  # instances begin after whoever shows them
_FOLDER = tempfile.TemporaryDirectory()  # as long as the tests run: explanations quote its files
HOSTILE = "<script>alert(1)</script>\"'&\u202e\0\n<img src=x onerror=alert(1)>"


@cache
def echo() -> Version:
    """The sample, compiled."""
    config = sample(Path(_FOLDER.name))
    return compile_application(load_application(FileSource(config)), Settings(), Where())


def point(name: str, value: Value, version: str = "", **labels: str) -> Point:
    """A count of an instance of the version, by default of the sample's server."""
    resource = {CLIENT: "frontend", SERVER: "server", SIDE: "server", PROCESSOR: "server-sidecar"}
    resource |= {key: labels.pop(key) for key in list(labels) if key in resource}
    version = version or echo().artifacts[-1].version
    attributes = {METHOD: ECHO, **labels}
    instance = {VERSION: version, INSTANCE: f"{version} at {sorted(resource.items())}"}
    return Point(name, attributes, {**resource, **instance}, value, _LATER, _LATER + next(_MOMENTS))


def refusal(element: str = "firewall", text: str = "firewall", **resource: str) -> Refusal:
    """A refusal of the sample's firewall."""
    reads = (
        Read(Kind.FIELD, "Body", None, "test", Told.WHOLE),
        Read(Kind.ENTRY, "acl", "test", ("No",), Told.WHOLE),
    )
    of = {CLIENT: "frontend", SERVER: "server", SIDE: "server", VERSION: echo().artifacts[-1].version, **resource}
    return Refusal(10**18, element, "req", "1a.1b", ECHO, 10, text, "a-call", "", 0, 0, reads, of)


@dataclass
class Shown:
    """``running``: what it shows."""

    telemetry: Telemetry
    running: list[Running] = field(default_factory=list)

    def traffic(self, calls: int) -> None:
        """So many calls have come, of which the firewall has refused half."""
        rows = {ELEMENT: "firewall", HANDLER: "req"}
        counts = [
            point(CALLS, calls),
            point(REFUSALS, calls // 2, **rows, **{STATUS: "ABORTED"}),
            point(ROW_HITS, calls // 2, **rows, **{ROW: "1a.1b"}),
            point(ROW_HITS, calls - calls // 2, **rows, **{ROW: "1b"}),
        ]
        for it in counts:
            self.telemetry.totals.add(it)

    def hostile(self) -> None:
        """Names, texts and values of somebody who wants to be more than text on a page."""
        names = {CLIENT: HOSTILE, SERVER: HOSTILE, PROCESSOR: HOSTILE}
        self.telemetry.totals.add(point(CALLS, 7, HOSTILE, **names))
        of = {ELEMENT: HOSTILE, HANDLER: HOSTILE, STATUS: HOSTILE}
        self.telemetry.totals.add(point(REFUSALS, 7, HOSTILE, **names, **of))
        self.telemetry.refusals.add(refusal(HOSTILE, HOSTILE, **{CLIENT: HOSTILE, SERVER: HOSTILE}))
        self.telemetry.records.add(Records(HOSTILE, HOSTILE, {PROCESSOR: HOSTILE}, [1], [HOSTILE]))


def running(version: Version | None = None) -> Running:
    version = version or echo()
    return Running("echo", "", version, None, [version], [], [Past("0123456789ab", "until noon")], "", ["appnetctl x"])


def many(edges: int) -> Running:
    """The sample with more edges, on which nobody has elements."""
    version = echo()
    loaded = version.application
    (client, server), *_ = loaded.application.edges
    more = ((replace(client, value=f"client-{it}"), replace(server, value=f"server-{it % 50}")) for it in range(edges))
    application = replace(loaded.application, edges=(*loaded.application.edges, *more))
    return running(replace(version, application=replace(loaded, application=application)))


@asynccontextmanager
async def served(
    *, clustered: bool = False, token: str | None = None, viewer: str = "127.0.0.1"
) -> AsyncIterator[tuple[Shown, str, Dashboard]]:
    """What is shown, and where. ``viewer``: the address that those who look have."""

    @web.middleware
    async def seen_from(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(remote=viewer))

    shown = Shown(Telemetry(OtlpReceiver(), Keep(Path("nowhere")), None), [running()])
    dashboard = Dashboard(lambda: shown.running, shown.telemetry, clustered=clustered, token=token)
    application = web.Application(middlewares=[seen_from, own_pages])
    dashboard.add_to(application)
    runner = await serve_http(application, ANY_LOCAL_PORT)
    try:
        yield shown, "http://{}:{}".format(*runner.addresses[0][:2]), dashboard
    finally:
        await runner.cleanup()


async def got(session: ClientSession, url: str, headers: Mapping[str, str] = {}) -> tuple[int, str]:
    async with session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


class Markup(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.text += " "
        for name, value in attrs:
            self.attributes.add(name)
            if name == "href" and tag == "a":
                self.links.append(value or "")
            if name == "src":
                self.sources.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data
