"""Opens the built site in Chromium, light and dark, and keeps what it shows.

python docs/site/screenshots.py             the pictures in CONTRIBUTING.md
python docs/site/screenshots.py FOLDER      also each page, search and a narrow screen, to look at

Fails if a page asks another host for anything.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, ClientWebSocketResponse, web

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
IMAGES = ROOT / "docs" / "images"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SEARCHED = "!location.search || document.querySelector('.md-search-result__item') !== null"


class Tab:
    """A page of the browser, told what to do by the DevTools protocol."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self._session: dict[str, str] = {}
        self.asked: set[str] = set()
        """The hosts that pages asked for something."""

    async def open(self, scheme: str) -> None:
        """Opens a tab of a reader who likes the scheme, and has not been on the site before."""
        self._session = {}
        context = await self.call("Target.createBrowserContext")
        target = await self.call("Target.createTarget", url="about:blank", **context)
        found = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        await self.call("Network.enable")
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": params, **self._session})
        async for message in self._socket:
            event = message.json()
            if event.get("method") == "Network.requestWillBeSent":
                self.asked.add(urlsplit(event["params"]["request"]["url"]).netloc)
            if event.get("id") == self._calls:
                if "error" in event:
                    sys.exit(f"{method}: {event['error']['message']}")
                found: dict[str, Any] = event["result"]
                return found
        sys.exit("the browser ended")

    async def picture(self, url: str, width: int, height: int) -> bytes:
        """What a page looks like, as PNG."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Page.navigate", url=url)
        for _ in range(50):
            await asyncio.sleep(0.2)
            ready = f"document.readyState === 'complete' && ({_SEARCHED})"
            found = await self.call("Runtime.evaluate", expression=ready)
            if found["result"]["value"]:
                break
        else:
            sys.exit(f"{url} does not come up")
        await asyncio.sleep(0.5)  # what moves has moved
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


def pages() -> Iterator[tuple[str, str, int, int]]:
    """Name, address, width and height of all there is to look at."""
    for page in sorted(SITE.glob("*.html")):
        yield page.stem, page.name, 1440, 1800
    yield "search", "index.html?q=rate+limit", 1280, 800
    for page in ("index", "language", "benchmarks", "tools"):
        yield f"phone_{page}", f"{page}.html", 390, 1600


def browser() -> str:
    """Where Chromium is."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    return found or sys.exit("Screenshots need Chromium; on Debian: apt install chromium")


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """HOST:PORT, where the site is meanwhile."""
    if not SITE.exists():
        sys.exit("There is no site yet: make docs")
    application = web.Application()
    application.router.add_static("/", SITE)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def chromium() -> AsyncIterator[str]:
    """Where a browser that runs meanwhile takes commands."""
    with tempfile.TemporaryDirectory() as profile:
        process = await asyncio.create_subprocess_exec(
            *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}"),
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr
        async for line in process.stderr:
            if line.startswith(b"DevTools listening on "):
                yield line.decode().split()[-1]
                break
        process.terminate()
        await process.wait()


async def take(folder: Path | None) -> None:
    """Takes all pictures."""
    async with (
        served() as host,
        chromium() as address,
        ClientSession() as session,
        session.ws_connect(address, max_msg_size=0) as socket,
    ):
        tab = Tab(socket)
        for scheme in ("light", "dark"):
            await tab.open(scheme)
            home = await tab.picture(f"http://{host}/index.html", 1280, 800)
            (IMAGES / f"site_{scheme}.png").write_bytes(home)
            if folder:
                for name, page, width, height in pages():
                    shot = await tab.picture(f"http://{host}/{page}", width, height)
                    (folder / f"{name}_{scheme}.png").write_bytes(shot)
    if others := tab.asked - {host, ""}:
        sys.exit(f"Pages ask other hosts: {', '.join(sorted(others))}")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
