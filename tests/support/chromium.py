"""Headless Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, ClientWebSocketResponse

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "there is no Chromium; on Debian: apt install chromium"
_SECONDS = 180.0


def browser() -> str | None:
    """Where Chromium is, if it is installed."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


class Tab:
    """A page of the browser."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self._session: dict[str, str] = {}
        self.asked: set[str] = set()
        """The hosts that pages asked for something."""
        self.errors: list[str] = []
        """What went wrong in pages: exceptions of scripts, and what the browser would not load or run."""

    async def open(self, scheme: str) -> None:
        """Opens a tab of a reader who likes the scheme, and has not been on the site before."""
        self._session = {}
        context = await self.call("Target.createBrowserContext")
        target = await self.call("Target.createTarget", url="about:blank", **context)
        found = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        for it in ("Network", "Runtime", "Log", "Accessibility"):
            await self.call(f"{it}.enable")
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": params, **self._session})
        async for message in self._socket:
            event = message.json()
            self._note(event)
            if event.get("id") == self._calls:
                if "error" in event:
                    raise RuntimeError(f"{method}: {event['error']['message']}")
                found: dict[str, Any] = event["result"]
                return found
        raise RuntimeError("the browser ended")

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.asked.add(urlsplit(event["params"]["request"]["url"]).netloc)
            case "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded" if event["params"]["entry"]["level"] == "error":
                self.errors.append(event["params"]["entry"]["text"])

    async def go(self, url: str, width: int = 1280, height: int = 800, *, ready: str = "true") -> None:
        """Goes there, and waits until it is loaded and an expression is true."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href !== 'about:blank' && ({ready})")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Waits until it is true."""
        async with asyncio.timeout(_SECONDS):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.1)

    async def press(self, key: str, code: int) -> None:
        """Presses a key, by its name and its number, as a keyboard does."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    async def type(self, text: str) -> None:
        """Types into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def picture(self) -> bytes:
        """What the page looks like, as PNG."""
        await asyncio.sleep(0.5)  # what moves has moved
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def chromium() -> AsyncIterator[Tab]:
    """A browser that runs meanwhile. Raises FileNotFoundError where there is none."""
    found = browser()
    if found is None:
        raise FileNotFoundError(MISSING)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *(found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}"),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            address = await _address(process)
            async with ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
                yield Tab(socket)
        finally:
            process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it takes commands."""
    assert process.stderr is not None
    async with asyncio.timeout(_SECONDS):
        async for line in process.stderr:
            if line.startswith(b"DevTools listening on "):
                return line.decode().split()[-1]
    raise RuntimeError("the browser did not start")
