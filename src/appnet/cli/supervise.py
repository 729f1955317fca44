"""A command that ends in order when it is told to, or when nobody is there any more to tell it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PARENT_POLL_SECONDS = 0.5


async def supervised(work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of ``work``; None if it was cancelled by Ctrl-C, SIGTERM, SIGHUP or the end of the parent process.

    Cancelled work still cleans up; a second signal cuts that short, too.
    """
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    orphaned = asyncio.create_task(_cancel_when_orphaned(task))
    try:
        return await task
    except asyncio.CancelledError:
        return None
    finally:
        orphaned.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _cancel_when_orphaned(task: asyncio.Task[_T]) -> None:
    """A killed `make` sends no signal on; then its child would stay, with proxies and all."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(_PARENT_POLL_SECONDS)
    task.cancel()
