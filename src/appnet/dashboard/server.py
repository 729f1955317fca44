"""Serves the pages below ``/dashboard/``, and what changes on them as server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from urllib.parse import urlencode

from aiohttp import web

from appnet.compile.pipeline import Version
from appnet.control.rollout import RolloutError
from appnet.dashboard.counts import Counts
from appnet.dashboard.model import Lines, Page, Sent, html
from appnet.dashboard.pages.edge import chain_picture, edge
from appnet.dashboard.pages.element import element
from appnet.dashboard.pages.overview import overview
from appnet.dashboard.pages.records import records
from appnet.dashboard.pages.refusals import refusal, refusals
from appnet.dashboard.pages.rollout import rollout
from appnet.dashboard.pages.view import UnknownError, View
from appnet.dashboard.running import Applications, Explanations
from appnet.dashboard.trends import Trends
from appnet.observe.telemetry import Telemetry
from appnet.system.http import is_loopback

PREFIX = "/dashboard/"
MOST_STREAMS = 32
_TICK_SECONDS = 1.0
_IDLE_SHARE = 5  # pages are made anew after so many times as long as it took
_GUESS_SECONDS = 0.5
_ALIVE_SECONDS, _STUCK_SECONDS = 15.0, 30.0
_NAVIGATION = (("Overview", "./"), ("Refused calls", "refusals"), ("Records", "records"), ("Rollout", "rollout"))
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Build = Callable[[View], Awaitable[Page]]
_PAGES: Mapping[str, Build] = {
    "": overview,
    "edge": edge,
    "element": element,
    "refusals": refusals,
    "refusal": refusal,
    "records": records,
    "rollout": rollout,
}
_STILL = frozenset({"refusal"})
_ASSETS = {"dashboard.css": "text/css", "dashboard.js": "text/javascript"}


class Dashboard:
    """The pages of ``applications``, and of their ``telemetry``. ``clustered``: they are in a cluster. ``token``: who
    knows it may change what runs; None: nobody may. Only those on this machine may, or at the end of a tunnel to it,
    for the token would be read on its way from elsewhere."""

    def __init__(
        self, applications: Applications, telemetry: Telemetry, *, clustered: bool, token: str | None = None
    ) -> None:
        self._applications, self._telemetry, self._token = applications, telemetry, token
        self._acting = asyncio.Lock()
        modules: dict[str, str] = {}
        self._counts, self._explanations = Counts(telemetry.totals, modules, clustered=clustered), Explanations()
        self._trends = Trends(telemetry.totals, modules, clustered=clustered)
        folder = files("appnet.dashboard") / "assets"
        self._assets = {name: (folder / name).read_bytes() for name in _ASSETS}
        self._digest = hashlib.sha256(b"".join(self._assets.values())).hexdigest()[:12]
        self._known: list[Version] = []
        self._built: dict[str, Page] = {}
        self._built_at = 0.0
        self._building = asyncio.Lock()
        self._pace = _TICK_SECONDS
        self._streams = 0
        self._ending = asyncio.Event()

    def add_to(self, application: web.Application) -> None:
        """Adds the pages, and the way there from the root."""
        pages = web.Application()
        pages.on_response_prepare.append(_secured)
        for name in _PAGES:
            pages.router.add_get(f"/{name}", self._page)
        for name in _ASSETS:
            pages.router.add_get(f"/{name}", self._asset)
        pages.router.add_get("/chain.svg", self._picture)
        pages.router.add_get("/events", self._events)
        pages.router.add_post("/act", self._act)
        for path in ("/", PREFIX.rstrip("/")):
            application.router.add_get(path, _to_pages)
        application.add_subapp(PREFIX, pages)
        application.cleanup_ctx.append(self._following)
        application.on_shutdown.append(self._end)

    async def _following(self, _: web.Application) -> AsyncIterator[None]:
        following = asyncio.create_task(self._trends.follow())
        yield
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    async def _end(self, _: web.Application) -> None:
        self._ending.set()

    # --- pages ---

    def _acts(self, request: web.Request) -> bool:
        return self._token is not None and is_loopback(request.remote)

    async def _view(self, asked: Mapping[str, str], *, acts: bool = False) -> View:
        applications = list(self._applications())
        known = [version for it in applications for version in it.known]
        if known != self._known:
            self._known = known
            artifacts = [it for version in known for it in version.artifacts]
            self._counts.modules.clear()
            self._counts.modules.update({one.version: it.name for it in artifacts for one in (it, *it.others)})
            self._explanations.keep(known)
        await self._counts.refresh(_TICK_SECONDS * 0.9)
        return View(applications, self._counts, self._trends, self._telemetry, self._explanations, asked, acts)

    async def _page(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix(PREFIX)
        asked = dict(request.query)
        status = 200
        try:
            page = await _PAGES[name](await self._view(asked, acts=self._acts(request)))
        except UnknownError as error:
            page, status = Page("Not here", (Lines((str(error),)),), (("Overview", "./"),), live=False), 404
        events = f"events?{urlencode({**asked, 'page': name})}" if page.live else ""
        text = html(page, _NAVIGATION, self._digest, events, name or "./")
        return web.Response(text=text, content_type="text/html", status=status, headers={"Cache-Control": "no-store"})

    async def _picture(self, request: web.Request) -> web.Response:
        try:
            text = chain_picture(await self._view(dict(request.query)))
        except UnknownError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        # It is a picture, in a page of ours, where it can do nothing: its own style is all that it has.
        policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        headers = {"Content-Security-Policy": policy, "Cache-Control": "private, max-age=3600"}
        return web.Response(text=text, content_type="image/svg+xml", headers=headers)

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix(PREFIX)
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return web.Response(body=self._assets[name], content_type=_ASSETS[name], charset="utf-8", headers=headers)

    async def _act(self, request: web.Request) -> web.Response:
        """Does what a button says. No other site can have a browser send the header with the token."""
        if self._token is None or not self._acts(request):
            raise web.HTTPForbidden(
                text="buttons work with --dashboard-token-file, and on the dashboard's own machine\n"
            )
        shown = request.headers.get("X-AppNet-Token", "").encode(errors="surrogateescape")
        async with self._acting:  # one after another, so that guessing takes its time
            if not hmac.compare_digest(shown, self._token.encode()):
                await asyncio.sleep(_GUESS_SECONDS)
                raise web.HTTPForbidden(text="this is not the token\n")
            name, word = request.query.get("application", ""), request.query.get("action", "")
            act = next(
                (it.actions[word] for it in self._applications() if it.named == name and word in it.actions), None
            )
            if act is None:
                raise web.HTTPNotFound(text="there is nothing of this kind to do any more\n")
            try:
                return web.Response(text=f"{await act()}\n")
            except RolloutError as error:
                raise web.HTTPConflict(text=f"{error}\n") from None

    # --- what changes ---

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Of the page that is named, with its parameters: first everything, then what has changed.

        Nothing waits for a slow viewer: it gets what has changed since it took the last news, whenever it takes more.
        """
        asked = dict(request.query)
        name = asked.pop("page", "")
        if name not in _PAGES or name in _STILL:
            raise web.HTTPNotFound(text="there is no such page, or it does not change\n")
        if self._streams >= MOST_STREAMS:
            text = f"{MOST_STREAMS} pages are open already\n"
            raise web.HTTPServiceUnavailable(text=text, headers={"Retry-After": "10"})
        self._streams += 1
        try:
            headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            answer = web.StreamResponse(headers=headers)
            await answer.prepare(request)
            await self._follow(request, answer, name, asked)
        except (TimeoutError, ConnectionError):  # it takes nothing any more, or has left
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams -= 1
        return answer

    async def _follow(
        self, request: web.Request, answer: web.StreamResponse, name: str, asked: Mapping[str, str]
    ) -> None:
        """Until the server ends or the viewer leaves. Raises TimeoutError where that one takes nothing any more."""
        sent, heard = Sent(), -_ALIVE_SECONDS
        while not self._ending.is_set() and request.transport is not None and not request.transport.is_closing():
            try:
                news = sent.news(await self._page_now(name, asked, acts=self._acts(request)))
            except UnknownError:
                news = sent.gone()
            if news or time.monotonic() >= heard + _ALIVE_SECONDS:
                text = f"data: {json.dumps(news)}\n\n" if news else ": alive\n\n"
                async with asyncio.timeout(_STUCK_SECONDS):
                    await answer.write(text.encode())
                heard = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self._pace)

    async def _page_now(self, name: str, asked: Mapping[str, str], *, acts: bool) -> Page:
        """The page, made once for all who look at it within a tick."""
        key = urlencode({**asked, "page": name, "acts": acts})
        async with self._building:
            began = time.monotonic()
            if began >= self._built_at + _TICK_SECONDS * 0.9:
                self._built, self._built_at = {}, began
            if key not in self._built:
                self._built[key] = await _PAGES[name](await self._view(asked, acts=acts))
                self._pace = max(_TICK_SECONDS, _IDLE_SHARE * (time.monotonic() - began))
            return self._built[key]


async def _to_pages(_: web.Request) -> web.Response:
    raise web.HTTPFound(PREFIX)


async def _secured(_: web.Request, answer: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
