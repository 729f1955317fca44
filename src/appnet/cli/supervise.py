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


async def supervised(work: Coroutine[Any, Any, _T], *, alone: bool = False) -> _T | None:
    """The result of ``work``; None if it was cancelled by Ctrl-C, SIGTERM, SIGHUP or the end of the parent process.

    Cancelled work still cleans up; a second signal cuts that short, too. ``alone``: it outlives its parent. A SIGHUP
    that is ignored, as `nohup` has it, stays so.
    """
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    ending = [it for it in _SIGNALS if signal.getsignal(it) is not signal.SIG_IGN]
    for number in ending:
        loop.add_signal_handler(number, task.cancel)
    kept = signal.SIGHUP not in ending  # whoever starts it with `nohup` means it to stay
    orphaned = None if alone or kept else asyncio.create_task(_cancel_when_orphaned(task))
    try:
        return await task
    except asyncio.CancelledError:
        return None
    finally:
        if orphaned is not None:
            orphaned.cancel()
        for number in ending:
            loop.remove_signal_handler(number)


async def _cancel_when_orphaned(task: asyncio.Task[_T]) -> None:
    """A killed `make` sends no signal on; then its child would stay, with proxies and all."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(_PARENT_POLL_SECONDS)
    task.cancel()
