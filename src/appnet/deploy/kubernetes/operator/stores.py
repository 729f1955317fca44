"""Looks at the stores of shared state, beside all other work: one that is away holds nothing up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from appnet.state.health import Health, Wanted, look

_WELL_SECONDS, _ILL_SECONDS = 20.0, 5.0
_LOOKERS = ThreadPoolExecutor(4, "stores")  # their own: what does not answer must not keep others from compiling
_NOT_YET = Health(None, "NotSeen", "the controller has not looked at the store yet")


class Stores:
    """The stores of an application. ``changed`` is told when one is no longer as it was."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._named: dict[str, Wanted] = {}
        self._found: dict[Wanted, Health] = {}
        self._tasks: dict[Wanted, asyncio.Task[None]] = {}

    def health(self, configuration: str, wanted: Wanted) -> Health:
        """What is known of the store that an AppNetConfig needs, which is looked at from now on."""
        if self._named.get(configuration) != wanted:
            self._named[configuration] = wanted
            self._follow_named()
        return self._found.get(wanted, _NOT_YET)

    def keep(self, configurations: Collection[str]) -> None:
        """Looks no longer at what other AppNetConfigs needed."""
        if self._named.keys() - configurations:
            self._named = {name: it for name, it in self._named.items() if name in configurations}
            self._follow_named()

    def _follow_named(self) -> None:
        wanted = set(self._named.values())
        for it in self._tasks.keys() - wanted:
            self._tasks.pop(it).cancel()
            self._found.pop(it, None)
        for it in wanted - self._tasks.keys():
            self._tasks[it] = asyncio.create_task(self._follow(it))

    async def _follow(self, wanted: Wanted) -> None:
        while True:
            health = await asyncio.get_running_loop().run_in_executor(_LOOKERS, look, wanted)
            if self._found.get(wanted) != health:
                self._found[wanted] = health
                self._changed()
            await asyncio.sleep(_WELL_SECONDS if health.fit else _ILL_SECONDS)
