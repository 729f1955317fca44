"""Opens the dashboard of the hotel sample in Chromium, light and dark, and keeps what it shows.

python -m tests.dashboard.screenshots             the pictures in docs/telemetry.md
python -m tests.dashboard.screenshots FOLDER      every page instead, also as on a phone, to look at
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

from aiohttp import ClientSession

from tests.dashboard.shown import Markup
from tests.quickstart.support import running
from tests.support.chromium import MISSING, Tab, browser, chromium

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
HOTEL = ROOT / "config" / "samples" / "hotel"
_CALLS = (
    *("/hotels?customer={customer}&lat=48.1&lon=11.5&night=2027-05-01",) * 4,
    *("/reserve?customer={customer}&hotel=h03&night=2027-05-01",) * 2,
    "/reserve?customer=mallory&hotel=h03&night=2027-05-01",
)
_BLOCKLIST = "element?client=frontend&server=reservation&element=blocklist"
_PAGES = {
    "overview": "./",
    "edge": "edge?client=frontend&server=reservation",
    "element": _BLOCKLIST,
    "refusals": "refusals",
    "records": "records",
    "rollout": "rollout",
}
_SEEN_SECONDS = 8.0  # in which rates become those of now


@asynccontextmanager
async def hotel() -> AsyncIterator[str]:
    """Where its dashboard is, while customers call."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HOTEL, Path(folder) / "hotel")
        with running(Path(folder), Path(folder) / "hotel" / "sample_hotel_sidecar.yaml") as it:
            place = await asyncio.to_thread(it.rest_of_line, "dashboard: ")
            frontend = (await asyncio.to_thread(it.rest_of_line, "up: curl '")).partition("/hotels")[0]
            async with ClientSession() as session:
                calling = asyncio.create_task(_call(session, frontend))
                try:
                    yield f"{place.partition(';')[0]}dashboard/"
                finally:
                    calling.cancel()


async def _call(session: ClientSession, frontend: str) -> None:
    for number, call in enumerate(itertools.islice(itertools.cycle(_CALLS), 20_000)):
        async with session.get(frontend + call.format(customer=f"customer-{number % 97}")) as answer:
            await answer.read()
        await asyncio.sleep(0.02)


async def _shot(tab: Tab, url: str, width: int, height: int) -> bytes:
    await tab.go(url, width, height)
    await asyncio.sleep(_SEEN_SECONDS if url.endswith("/") else 2.5)
    return await tab.picture()


async def take(folder: Path | None) -> None:
    """Takes all pictures."""
    if browser() is None:
        sys.exit(MISSING)
    async with hotel() as place, chromium() as tab, ClientSession() as session:
        await asyncio.sleep(_SEEN_SECONDS)
        async with session.get(f"{place}refusals") as answer:
            links = Markup(await answer.text()).links
        pages = _PAGES | {"refusal": next(it for it in links if it.startswith("refusal?"))}
        for scheme in ("light", "dark"):
            await tab.open(scheme)
            if folder is None:
                page, height = ("./", 760) if scheme == "light" else (_BLOCKLIST, 780)
                name = "dashboard_overview" if scheme == "light" else "dashboard_element"
                (IMAGES / f"{name}.png").write_bytes(await _shot(tab, urljoin(place, page), 1280, height))
                continue
            for name, page in pages.items():
                (folder / f"{name}_{scheme}.png").write_bytes(await _shot(tab, urljoin(place, page), 1280, 1000))
                (folder / f"phone_{name}_{scheme}.png").write_bytes(await _shot(tab, urljoin(place, page), 390, 1000))
    if tab.errors:
        sys.exit("\n".join(tab.errors))


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
