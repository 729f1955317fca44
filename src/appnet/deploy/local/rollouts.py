"""Which node runs which version, and the way back, as JSON over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from appnet.control.controller import Controller
from appnet.control.rollout import Rollout, RolloutError
from appnet.processors.processor import Node
from appnet.system.http import is_loopback

WORDS = ("undo", "promote", "pause", "resume")
"""What can be done of a rollout."""


class RolloutPages:
    """``GET /rollout``, and ``POST /rollout/WORD`` for each of `WORDS`, for a controller.

    Only this machine may change anything, and no page that a browser shows. ``told`` hears of each change.
    """

    def __init__(self, controller: Controller, told: Callable[[str], None]) -> None:
        self._controller, self._told = controller, told

    def add_to(self, application: web.Application) -> None:
        """Adds the pages."""
        application.router.add_get("/rollout", self._status)
        for word in WORDS:
            application.router.add_post(f"/rollout/{word}", partial(self._changed, word))

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._described())

    async def change(self, word: str) -> str:
        """Does what one of `WORDS` says, and tells what came of it. Raises `RolloutError`."""
        rollout = await self._done(word)
        if rollout is None:
            told = "rollout pause: later versions wait"
        else:
            nodes = ", ".join(rollout.accept_seconds) or "no node has anything new"
            told = f"rollout {word}: version {rollout.version.id} ({nodes})"
        self._told(told)
        return told

    async def _done(self, word: str) -> Rollout | None:
        match word:
            case "undo":
                return await self._controller.undo()
            case "promote":
                return await self._controller.promote()
            case "resume":
                return await self._controller.resume()
        await self._controller.pause()
        return None

    async def _changed(self, word: str, request: web.Request) -> web.Response:
        if "Origin" in request.headers or not is_loopback(request.remote):
            return web.json_response({"error": "only programs on the control plane's machine may do this"}, status=403)
        try:
            await self.change(word)
        except RolloutError as error:
            return web.json_response({"error": str(error)}, status=409)
        return web.json_response(await self._described())

    async def _described(self) -> dict[str, Any]:
        it = self._controller
        candidate = it.candidate.id if it.candidate is not None else None
        return {
            "version": it.running.id,
            "canary": {"version": candidate, "nodes": sorted(it.canaries)} if it.canaries else None,
            "paused": it.paused,
            "waiting": it.waiting.id if it.waiting is not None else None,
            "nodes": [await self._node(node) for node in it.nodes],
            "suggested": [str(plan) for plan in it.replanner.suggestions(it.running)],
            "history": [{"version": past.version.id, "until": past.until} for past in it.past],
        }

    async def _node(self, node: Node) -> dict[str, Any]:
        version = self._controller.meant_for(node).id
        answer = await node.answer(version, 0)
        return {
            "node": node.name,
            "connected": node.running,
            "version": version,
            "acceptance": answer.acceptance.value,
            "since": answer.since,
            "error": answer.error,
        }
