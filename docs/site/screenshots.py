"""Opens the built site in Chromium, light and dark, and keeps what it shows.

python docs/site/screenshots.py             the pictures in CONTRIBUTING.md
python docs/site/screenshots.py FOLDER      also each page, search and a narrow screen, to look at

Fails if a page asks another host for anything.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.chromium import MISSING, browser, chromium  # noqa: E402 -- from the clone, wherever this is run

SITE = ROOT / "site"
IMAGES = ROOT / "docs" / "images"
_SEARCHED = "!location.search || document.querySelector('.md-search-result__item') !== null"


def pages() -> Iterator[tuple[str, str, int, int]]:
    """Name, address, width and height of all there is to look at."""
    for page in sorted(SITE.glob("*.html")):
        yield page.stem, page.name, 1440, 1800
    yield "search", "index.html?q=rate+limit", 1280, 800
    for page in ("index", "language", "benchmarks", "tools"):
        yield f"phone_{page}", f"{page}.html", 390, 1600


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


async def take(folder: Path | None) -> None:
    """Takes all pictures."""
    if browser() is None:
        sys.exit(MISSING)
    async with served() as host, chromium() as tab:
        for scheme in ("light", "dark"):
            await tab.open(scheme)
            await tab.go(f"http://{host}/index.html", 1280, 800, ready=_SEARCHED)
            (IMAGES / f"site_{scheme}.png").write_bytes(await tab.picture())
            if folder:
                for name, page, width, height in pages():
                    await tab.go(f"http://{host}/{page}", width, height, ready=_SEARCHED)
                    (folder / f"{name}_{scheme}.png").write_bytes(await tab.picture())
    if others := tab.asked - {host, ""}:
        sys.exit(f"Pages ask other hosts: {', '.join(sorted(others))}")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
