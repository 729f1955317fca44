"""Saves of the files that a running application is made of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from watchfiles import awatch

from appnet.application.proto import DESCRIPTOR_SETS

SUFFIXES = frozenset({".appnet", ".yaml", ".yml", ".proto", *DESCRIPTOR_SETS})

_QUIET_MS = 20  # an editor's save is several changes within a few milliseconds
_LONGEST_MS = 200
_LOOK_AGAIN_MS = 500


async def saves(files: Callable[[], Iterable[Path]], stop: asyncio.Event) -> AsyncIterator[frozenset[Path]]:
    """Yields what is saved in the folders of ``files``, of the kinds that applications are made of, until ``stop``.

    Folders are watched, since editors put new files in the place of old ones and a missing file may be made any time.
    ``files`` is asked again after each save. An empty set comes soon after the folders watched have changed, the start
    included: something may have been saved in between.
    """
    while not stop.is_set():
        folders = _folders(files())
        unsure = True
        watcher = awatch(
            *folders,
            stop_event=stop,
            debounce=_LONGEST_MS,
            step=_QUIET_MS,
            rust_timeout=_LOOK_AGAIN_MS,
            yield_on_timeout=True,
            recursive=False,
        )
        async for changes in watcher:
            saved = frozenset(real(Path(name)) for _, name in changes if Path(name).suffix in SUFFIXES)
            if saved or unsure:
                unsure = False
                yield saved
                if _folders(files()) != folders:
                    break


def real(path: Path) -> Path:
    """The path without symbolic links, as far as they lead anywhere."""
    return Path(os.path.realpath(path))


def _folders(files: Iterable[Path]) -> frozenset[Path]:
    found = {it.absolute().parent for it in files}
    return frozenset(it for it in found | set(map(real, found)) if it.is_dir())
