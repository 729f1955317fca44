"""A controller ends in words when the cluster can be watched no longer."""

from __future__ import annotations

import asyncio

import pytest

from appnet.deploy.kubernetes.operator.controller import ControllerError, until_one_ends


def test_the_error_of_a_watcher_is_told_and_no_other_task_is_touched() -> None:
    async def failing() -> None:
        raise ValueError("404 page not found")

    async def work() -> None:
        forever = asyncio.Event()
        watcher, other = (asyncio.create_task(forever.wait()) for _ in range(2))
        with pytest.raises(ControllerError, match=r"404 page not found; .*`make install`"):
            await until_one_ends([asyncio.create_task(failing()), watcher])
        assert watcher.cancelled()
        assert not other.done()
        forever.set()
        assert await other

    asyncio.run(work())
