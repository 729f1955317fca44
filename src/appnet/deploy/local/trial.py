"""Calls that are made as users would make them, and what should come of each."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

import aiohttp

from appnet.application.model import Side
from appnet.compile.pipeline import sides_of
from appnet.deploy.local.calls import rpc_of
from appnet.deploy.local.foreseen import CallerAnswer, Foreseen
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.services import TrialCall

_MOST_BYTES = 1 << 20
_CALL_TIMEOUT = aiohttp.ClientTimeout(total=15)


@dataclass(frozen=True)
class HttpAnswer:
    """``http_status`` is the page's, ``answer`` what it says."""

    http_status: int
    answer: CallerAnswer


class Trials:
    """The calls of the application file on a machine that runs."""

    def __init__(self, machine: LocalMachine) -> None:
        self._machine = machine
        self._foreseen: dict[tuple[str, str, str], Foreseen] = {}

    def foreseen(self, call: TrialCall) -> Foreseen | None:
        """What tells what to expect of the call; None where the file does not say which RPC comes of it, or the server
        is not the one that it tells of."""
        found = rpc_of(call, self._machine.controller.running.application)
        if found is None:
            return None
        chain, method = found
        client, server = chain.chain.edge.client, chain.chain.edge.server
        if server not in self._machine.instances:
            return None
        key = (client, server, method.full_name)
        if key not in self._foreseen:
            sides = sides_of(self._machine.controller.running, *key)
            names = [it.pod for it in self._machine.instances[server]]
            self._foreseen[key] = Foreseen(names, sides[Side.CLIENT], sides[Side.SERVER], method)
        return self._foreseen[key]


async def get(url: str) -> HttpAnswer:
    """Asks for the page. Raises ``aiohttp.ClientError`` or ``TimeoutError`` where nobody answers."""
    async with aiohttp.ClientSession(timeout=_CALL_TIMEOUT) as session, session.get(url) as reply:
        text = (await _start_of(reply)).decode(reply.get_encoding(), "replace").removesuffix("\n")
        status = reply.headers.get("grpc-status", "0")
        message = unquote(reply.headers.get("grpc-message", ""))
        return HttpAnswer(reply.status, CallerAnswer(text, int(status) if status.isdecimal() else 2, message))


async def _start_of(reply: aiohttp.ClientResponse) -> bytes:
    """The page, as far as anybody wants to see it."""
    found = bytearray()
    async for chunk in reply.content.iter_chunked(64 << 10):
        found += chunk
        if len(found) > _MOST_BYTES:
            break
    return bytes(found[:_MOST_BYTES])
