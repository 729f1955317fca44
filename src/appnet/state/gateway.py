"""The gateway by which modules that cannot open connections reach the store of shared state: WebAssembly in Envoy.

A module posts what its state asks; the gateway has the store's script run for each request, and answers. A post shows
a pass, which opens the state of one edge of one application: nobody gets further than its keys, and nothing but the
script runs.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import struct
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import valkey
from aiohttp import web
from valkey.cluster import ValkeyCluster

from appnet.state.client import store_client
from appnet.state.layout import script, script_digest, state_keys
from appnet.system.store_address import password_of, read_address

PATH = "/appnet/state"
"""Where it takes posts."""

MOST_BYTES = 16 << 20
"""Of a post."""
MOST_ANSWERED = 16 << 20
"""Of what one post is answered; Envoy holds twice as much for a module."""

_MOST_POSTS = 16  # of one store are under way at once; others wait, and their bodies are not read yet
_READ_SECONDS, _STORE_SECONDS = 10.0, 4.0  # a module waits for 5
_LINGER_SECONDS = 120.0
"""How long a pass is good that nobody is given any more: proxies take a while to let their connections end, and modules
merge once more when they end."""
_COMMANDS = (b"join", b"commit", b"beat", b"leave"), (b"meet", b"merge", b"part")  # of strong and of weak state
_MOST_PARTS = 8
_NAME = re.compile(r"[^\s{}:/]{1,200}")
_OF_STATE = ("WRONGTYPE ", "ERR ")  # errors of what one element's keys hold
_REFUSED = b"\3"  # as the script says it


class MalformedPostError(ValueError):
    """A post is none of a module's; the text says why."""


@dataclass(frozen=True)
class Request:
    """What an element's strong state asks, or a ``variable`` of its weak state: the arguments of the script."""

    element: str
    variable: str
    parts: tuple[bytes, ...]


def make_pass(secret: bytes, scope: str, address: str) -> str:
    """What a module shows that may reach the state of ``scope``, which is as `state_scope` makes it, in the store at an
    address."""
    return hmac.digest(secret, f"{address} {scope}".encode(), "sha256").hex()


class _Access(NamedTuple):
    """A way to a store: its address, a URL, and a password, where that has none."""

    address: str
    password: str


@dataclass(frozen=True)
class Door:
    """What a pass opens: the state of ``scope`` in the store at an ``address``. ``password``: where that has none."""

    scope: str
    address: str
    password: str = field(default="", repr=False)

    @property
    def access(self) -> _Access:
        """The way behind it."""
        return _Access(self.address, self.password)


class Gateway:
    """Takes posts on the server whose ``application`` `add_to` is given, as long as this is entered as an async context
    manager. ``secret``: what passes are made with.
    """

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._doors: dict[str, Door] = {}  # by their passes
        self._given: dict[object, frozenset[str]] = {}
        self._stores: dict[_Access, _Store] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(self, *_: object) -> None:
        stores, self._stores, self._doors, self._given = list(self._stores.values()), {}, {}, {}
        for it in stores:
            it.close()

    def open(self, owner: object, doors: Iterable[Door]) -> None:
        """Makes these all doors of an ``owner``; those that it had before close a while later."""
        given = {make_pass(self.secret, it.scope, it.address): it for it in doors}
        before = self._given.pop(owner, frozenset())
        if given:
            self._given[owner] = frozenset(given)
        self._doors.update(given)
        if gone := before - given.keys():
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._close, gone)
        self._let_go()

    def _close(self, passes: Iterable[str]) -> None:
        """Closes the doors of these passes that nobody was given again."""
        for it in set(passes).difference(*self._given.values()):
            self._doors.pop(it, None)
        self._let_go()

    def _let_go(self) -> None:
        """Ends the connections that no door leads to."""
        for it in self._stores.keys() - {door.access for door in self._doors.values()}:
            ending = asyncio.create_task(self._stores.pop(it).end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def add_to(self, application: web.Application) -> None:
        """Serves it."""
        application.router.add_post(PATH, self._posted)

    async def _posted(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        door = self._doors.get(shown)
        if door is None:
            raise web.HTTPUnauthorized(text="the gateway does not know this pass")
        if door.access not in self._stores:
            self._stores[door.access] = _Store(door.access)
        store = self._stores[door.access]
        async with store.free:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    asked = list(read_post(await _body_of(request)))
                answers = await store.ask(door.scope, asked)
            except MalformedPostError as error:
                raise web.HTTPBadRequest(text=str(error)) from error
            except TimeoutError:
                raise web.HTTPRequestTimeout(text="the post does not come") from None
            except valkey.ValkeyError as error:
                raise web.HTTPServiceUnavailable(text=_short(error)) from error
        return web.Response(body=write_answers(answers), content_type="application/octet-stream")


async def _body_of(request: web.Request) -> bytes:
    body = bytearray()
    async for it in request.content.iter_any():
        body += it
        if len(body) > MOST_BYTES:
            raise web.HTTPRequestEntityTooLarge(MOST_BYTES, len(body), text=f"a post has up to {MOST_BYTES} bytes")
    return bytes(body)


class _Store:
    """A store, by a few connections, each with a thread: the library has the addresses of all kinds only so."""

    def __init__(self, access: _Access) -> None:
        self.free = asyncio.Semaphore(_MOST_POSTS)
        self._access = access
        self._client: Any = None  # the library has few types
        self._opening = threading.Lock()
        self._threads = ThreadPoolExecutor(_MOST_POSTS, "gateway")

    async def end(self) -> None:
        """Ends it behind the posts that are under way or wait."""
        for _ in range(_MOST_POSTS):
            await self.free.acquire()
        self.close()

    def close(self) -> None:
        """Ends it at once."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def ask(self, scope: str, asked: list[Request]) -> list[bytes]:
        """The answers, in order. Raises `valkey.ValkeyError` where the store is away, or refuses all."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._asked, scope, asked)

    def _asked(self, scope: str, asked: list[Request]) -> list[bytes]:
        with self._opening:
            if self._client is None:
                address = read_address(self._access.address)
                password = self._access.password or password_of(address)
                self._client = store_client(address, password, _STORE_SECONDS)
        found = _run(self._client, scope, asked)
        if any(isinstance(it, valkey.exceptions.NoScriptError) for it in found):
            self._client.script_load(script().decode())
            found = _run(self._client, scope, asked)  # a batch counts once
        return [_answer(it) for it in found]


def _run(client: Any, scope: str, asked: list[Request]) -> list[object]:
    def arguments(it: Request) -> tuple[object, ...]:
        keys = state_keys(scope, it.element, it.variable)
        return script_digest(), len(keys), *keys, *it.parts

    if isinstance(client, ValkeyCluster):  # its pipelines take no scripts
        return [_one(client, arguments(it)) for it in asked]
    with client.pipeline(transaction=False) as pipeline:
        for it in asked:
            pipeline.evalsha(*arguments(it))
        return cast("list[object]", pipeline.execute(raise_on_error=False))


def _one(client: Any, arguments: tuple[object, ...]) -> object:
    try:
        return client.evalsha(*arguments)
    except valkey.ResponseError as error:
        return error


def _answer(found: object) -> bytes:
    if isinstance(found, bytes):
        return found
    if isinstance(found, valkey.ResponseError) and _text(found).startswith(_OF_STATE):
        return _REFUSED + _text(found).encode()[:200]
    raise found if isinstance(found, valkey.ValkeyError) else valkey.ResponseError("the script answers with no text")


def _text(error: valkey.ResponseError) -> str:
    """As the store says it: the client takes the first word of some errors away."""
    text = str(error)
    return text if re.match("[A-Z]+ ", text) else f"ERR {text}"


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


# --- posts ---


def read_post(body: bytes) -> Iterator[Request]:
    """What is asked. A post is a sequence of: text element, text variable, u32 count, and so many texts. Of strong
    state, the variable is empty.

    A text is a u32 size and bytes; numbers are little-endian. Raises `MalformedPostError`.
    """
    at = 0

    def number() -> int:
        nonlocal at
        if at + 4 > len(body):
            raise MalformedPostError("the post is cut short")
        (found,) = struct.unpack_from("<I", body, at)
        at += 4
        return int(found)

    def text() -> bytes:
        nonlocal at
        size = number()
        if size > len(body) - at:
            raise MalformedPostError("the post is cut short")
        at += size
        return body[at - size : at]

    while at < len(body):
        element, variable = (it.decode("utf-8", "replace") for it in (text(), text()))
        if not _NAME.fullmatch(element) or (variable and not _NAME.fullmatch(variable)):
            raise MalformedPostError("the post names no state")
        if not 1 <= (count := number()) <= _MOST_PARTS:
            raise MalformedPostError("the script takes other arguments")
        parts = tuple(text() for _ in range(count))
        if parts[0] not in _COMMANDS[bool(variable)]:
            raise MalformedPostError("the gateway carries steps and merges alone")
        yield Request(element, variable, parts)


def write_answers(answers: list[bytes]) -> bytes:
    """The answers as modules read them: each a u8 that is 1, and a text. What is too much comes with a later post,
    which begins with its u8 as 0; what is so for itself is refused.
    """
    left, found = MOST_ANSWERED, []
    for it in answers:
        kept = it
        if len(it) > MOST_ANSWERED:
            kept = _REFUSED + f"{len(it)} bytes are too many for a gateway".encode()
        there = len(kept) <= left
        left -= len(kept) if there else 0
        found.append(struct.pack("<BI", there, len(kept) if there else 0) + (kept if there else b""))
    return b"".join(found)
