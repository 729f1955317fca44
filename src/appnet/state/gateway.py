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
from appnet.system.posts import Room, body_of
from appnet.system.store_address import password_of, read_address

PATH = "/appnet/state"
"""Where it takes posts."""

MOST_BYTES = 16 << 20
"""Of a post."""
MOST_ANSWERED = 16 << 20
"""Of what one post is answered; Envoy holds twice as much for a module."""

_MOST_POSTS, _MOST_WAITING = 16, 1024  # of one store: so many are under way at once, others wait with bodies unread
_MOST_OF_STORE, _MOST_OF_ALL = 64 << 20, 256 << 20
"""Bytes of posts in hand, of a store and of all; what comes besides is refused, and modules ask again."""
_MOST_REQUESTS, _AT_ONCE = 1024, 16  # of a post; and so many go to the store together
_READ_SECONDS, _STORE_SECONDS = 10.0, 4.0  # a module waits for 5
_LINGER_SECONDS = 120.0
"""How long a pass is good that nobody is given any more: proxies take a while to let their connections end, and modules
merge once more when they end."""
_COMMANDS = (b"join", b"commit", b"beat", b"leave"), (b"meet", b"merge", b"part")  # of strong and of weak state
_GREETINGS = (b"join", b"meet")  # are answered with all that there is
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
        self._room = Room(_MOST_OF_ALL)

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
        if store.posts == _MOST_POSTS + _MOST_WAITING:
            raise web.HTTPServiceUnavailable(text="too many posts wait for the store")
        store.posts += 1
        try:
            async with store.free, body_of(request, MOST_BYTES, _READ_SECONDS, store.room, self._room) as body:
                answers = await store.ask(door.scope, list(read_post(body)))
        except MalformedPostError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except (valkey.ValkeyError, OSError) as error:
            raise web.HTTPServiceUnavailable(text=_short(error)) from error
        finally:
            store.posts -= 1
        return web.Response(body=write_answers(answers), content_type="application/octet-stream")


class _Store:
    """A store, by a few connections, each with a thread: the library has the addresses of all kinds only so."""

    def __init__(self, access: _Access) -> None:
        self.free = asyncio.Semaphore(_MOST_POSTS)
        self.room = Room(_MOST_OF_STORE)
        self.posts = 0  # in hand or waiting
        self._access = access
        self._client: Any = None  # the library has few types
        self._opening, self._greeting = threading.Lock(), threading.Lock()
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
        """The answers, in order; from the first that is too much for one post on, they are empty. Raises
        `valkey.ValkeyError` or OSError where the store is away, or refuses all."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._asked, scope, asked)

    def _asked(self, scope: str, asked: list[Request]) -> list[bytes]:
        with self._opening:
            if self._client is None:
                address = read_address(self._access.address)
                password = self._access.password or password_of(address)
                self._client = store_client(address, password, _STORE_SECONDS)
        answers: list[bytes] = []
        left = MOST_ANSWERED
        for some in _portions(asked):
            for it in self._answered(scope, some) if left > 0 else ():
                fits = len(it) <= left
                answers.append(it if fits else b"")
                left = left - len(it) if fits else 0
        return answers + [b""] * (len(asked) - len(answers))

    def _answered(self, scope: str, asked: list[Request]) -> list[bytes]:
        if asked[0].parts[0] not in _GREETINGS:
            return self._found(scope, asked)
        if not self._greeting.acquire(timeout=_STORE_SECONDS):  # one at a time has all of a state in memory
            raise TimeoutError("others keep the store busy")
        try:
            return self._found(scope, asked)
        finally:
            self._greeting.release()

    def _found(self, scope: str, asked: list[Request]) -> list[bytes]:
        found = _run(self._client, scope, asked)
        if any(isinstance(it, valkey.exceptions.NoScriptError) for it in found):
            self._client.script_load(script().decode())
            found = _run(self._client, scope, asked)  # a batch counts once
        return [_answer(it) for it in found]


def _portions(asked: list[Request]) -> Iterator[list[Request]]:
    """What the store is asked at once: a greeting alone, and of other requests a few."""
    some: list[Request] = []
    for it in asked:
        greets = it.parts[0] in _GREETINGS
        if some and (greets or len(some) == _AT_ONCE):
            yield some
            some = []
        if greets:
            yield [it]
        else:
            some.append(it)
    if some:
        yield some


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
        if len(found) <= MOST_ANSWERED:
            return found
        return _REFUSED + f"{len(found)} bytes are too many for a gateway".encode()
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
    at = many = 0

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
        if (many := many + 1) > _MOST_REQUESTS:
            raise MalformedPostError("the post has too many requests")
        if parts[0] not in _COMMANDS[bool(variable)]:
            raise MalformedPostError("the gateway carries steps and merges alone")
        yield Request(element, variable, parts)


def write_answers(answers: Iterable[bytes]) -> bytes:
    """The answers as modules read them: each a u8 that is 1, and a text. One that is empty comes with a later post; its
    u8 is 0."""
    return b"".join(struct.pack("<BI", bool(it), len(it)) + it for it in answers)
