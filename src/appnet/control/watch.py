"""Saves of the files a running application is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from watchfiles import awatch

_QUIET_MS = 20  # an editor's save is several changes within a few milliseconds


async def saves(files: Callable[[], Iterable[Path]], stop: asyncio.Event) -> AsyncIterator[set[Path]]:
    """Yields what of ``files`` was saved, until ``stop`` is set.

    ``files`` is asked again after each save. Folders are watched, since editors put new files in the place of old ones.
    """
    while not stop.is_set():
        wanted = {path.resolve() for path in files()}
        folders = {path.parent for path in wanted}
        async for changes in awatch(*folders, stop_event=stop, debounce=_QUIET_MS, step=_QUIET_MS, recursive=False):
            saved = {Path(name).resolve() for _, name in changes} & wanted
            if saved:
                yield saved
                if {path.resolve() for path in files()} != wanted:
                    break
