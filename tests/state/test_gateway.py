"""The gateway to stores: what it carries, and what it does not."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from appnet.observe.receiver import OtlpReceiver
from appnet.state import gateway
from appnet.state.gateway import MOST_BYTES, PATH, Door, Gateway, make_pass
from appnet.state.layout import state_keys
from tests.support.asynchronous import asynchronous, eventually
from tests.support.shared_store import StoreUnderTest, store_under_test

SECRET = b"of this test"


@pytest.fixture(scope="module")
def store() -> Iterator[StoreUnderTest]:
    with store_under_test() as it:
        yield it


def text(it: bytes) -> bytes:
    return struct.pack("<I", len(it)) + it


def asked(*parts: bytes, element: bytes = b"quota", variable: bytes = b"used") -> bytes:
    return text(element) + text(variable) + struct.pack("<I", len(parts)) + b"".join(map(text, parts))


def meet(instance: bytes = b"one", kind: bytes = b"int") -> bytes:
    first = b"\1" + text(b"") + text(bytes(8))
    return asked(b"meet", instance, b"used", kind, b"", first, b"0")


Post = tuple[int, bytes]


class Posting:
    """Posts to a gateway with a door to the scope."""

    def __init__(self, gateway: Gateway, url: str, client: aiohttp.ClientSession, door: Door) -> None:
        self.gateway, self.url, self.scope, self._client = gateway, url, door.scope, client
        self.shown = make_pass(SECRET, door.scope, door.address)

    async def post(self, body: bytes | AsyncIterator[bytes], shown: str | None = None) -> Post:
        headers = {"Authorization": f"Bearer {self.shown if shown is None else shown}"}
        async with self._client.post(self.url, data=body, headers=headers) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def posting(store: StoreUnderTest, url: str = "") -> AsyncIterator[Posting]:
    receiver, door = OtlpReceiver(), Door(store.scope(), url or store.url)
    async with Gateway(SECRET) as it, aiohttp.ClientSession() as client:
        it.open("owner", [door])
        receiver.serve_besides(it.add_to)
        async with receiver:
            yield Posting(it, f"http://{receiver.address}{PATH}", client, door)


@asynchronous
async def test_several_requests_of_a_post_are_answered_in_order(store: StoreUnderTest) -> None:
    async with posting(store) as it:
        wrong = asked(b"meet", b"one", b"other", b"int", b"", b"", b"0", variable=b"other")
        store.client.set(state_keys(it.scope, "quota", "other")[0], "not a hash")
        store.client.script_flush()  # as a store that was started again
        status, body = await it.post(meet() + wrong + meet(b"two"))
        assert status == 200
        answers = []
        while body:
            there, size = struct.unpack_from("<BI", body)
            assert there
            answers.append(body[5 : 5 + size])
            body = body[5 + size :]
        assert [answer[0] for answer in answers] == [0, 3, 0]
        assert answers[1].startswith(b"\3WRONGTYPE ")
        assert store.client.zcard(state_keys(it.scope, "quota", "used")[5]) == 2


@asynchronous
async def test_steps_on_strong_state_are_carried(store: StoreUnderTest) -> None:
    async with posting(store) as it:
        change = b"\1" + text(b"used") + text(b"") + text(bytes(8))
        status, body = await it.post(asked(b"join", b"one", b"used:int\n", b"", change, b"0", variable=b""))
        assert (status, body[0], body[5]) == (200, 1, 0)
        (size,) = struct.unpack_from("<I", body, 6)
        birth = body[10 : 10 + size]
        change = change[:-8] + struct.pack("<q", 7)
        step = struct.pack("<I", len(change)) + text(b"")
        commit = asked(b"commit", b"one", birth, b"1", change, b"1", b"", step, variable=b"")
        assert await it.post(commit) == (200, b"\1" + text(b"\0" + struct.pack("<Q", 2)))
        assert store.client.hgetall(state_keys(it.scope, "quota")[2]) == {b"used": struct.pack("<q", 7)}


@asynchronous
async def test_a_pass_opens_its_own_scope_alone(store: StoreUnderTest) -> None:
    async with posting(store) as it:
        another = (
            (b"another secret", it.scope, store.url),
            (SECRET, "another", store.url),
            (SECRET, it.scope, "another"),
        )
        for shown in ("", "guess", *(make_pass(*of) for of in another)):
            assert (await it.post(meet(), shown))[0] == 401
        assert list(store.client.scan_iter(f"*{it.scope}/*")) == []


def connections() -> list[str]:
    """The threads that a gateway has for them."""
    return [it.name for it in threading.enumerate() if it.name.startswith("gateway")]


@asynchronous
async def test_a_pass_stays_good_for_a_while_after_its_owner_has_another(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with posting(store) as it:
        it.gateway.open("owner", [])
        assert (await it.post(meet()))[0] == 200, "modules merge once more when they end"
        monkeypatch.setattr(gateway, "_LINGER_SECONDS", 0.2)
        door = Door(it.scope, store.url)
        assert connections()
        it.gateway.open("owner", [])
        it.gateway.open("owner", [door])
        await asyncio.sleep(0.4)
        assert (await it.post(meet()))[0] == 200, "it was given again"
        it.gateway.open("owner", [])
        while (await it.post(meet()))[0] == 200:
            await asyncio.sleep(0.05)
        assert (await it.post(meet()))[0] == 401
        await eventually(lambda: not connections())


@asynchronous
async def test_a_stores_new_password_needs_no_new_pass(store: StoreUnderTest) -> None:
    try:
        async with posting(store) as it:
            for word in ("first", "second"):
                store.client.config_set("requirepass", word)
                store.client.client_kill_filter(_type="normal")
                assert (await it.post(meet()))[0] == 503
                door = Door(it.scope, store.url, word)
                assert word not in repr(door)
                it.gateway.open("owner", [door])
                assert (await it.post(meet()))[0] == 200
    finally:
        store.client.config_set("requirepass", "")


HOSTILE = {
    "cut short": meet()[:-1],
    "sizes beyond the end": b"\xff" * 64,
    "strong state of a variable": asked(b"join", b"one", b"", b"", b"", b"0"),
    "a step on a variable": asked(b"commit", b"one", b"", b"0", b"", b"1", b""),
    "a merge of strong state": asked(b"merge", b"one", variable=b""),
    "what operators do": asked(b"edit", b"used", b"int", b"", variable=b""),
    "another command": asked(b"FLUSHALL"),
    "too many arguments": asked(b"meet", *[b""] * 8),
    "no arguments": asked(),
    "the keys of strong state": asked(b"part", b"one", variable=b""),
    "another hash tag": asked(b"part", b"one", element=b"x}:{y"),
    "too many requests": asked(b"beat", b"one", variable=b"") * 1024,
    "no name": asked(b"part", b"one", element=b"\xff\xfe \n"),
}


@asynchronous
async def test_what_is_neither_a_step_nor_a_merge_is_refused_as_a_whole(store: StoreUnderTest) -> None:
    async with posting(store) as it:
        for name, body in HOSTILE.items():
            status, told = await it.post(meet() + body)
            assert (status, name) == (400, name), told
        assert (await it.post(bytes(MOST_BYTES + 1)))[0] == 413
        assert list(store.client.scan_iter(f"*{it.scope}/*")) == []
        # Arguments that the script cannot read are an error of this variable, and keep nothing else from going on.
        status, body = await it.post(asked(b"meet", b"one", b"used", b"int", b"", b"\xff", b"0"))
        assert (status, body[0], body[5]) == (200, 1, 3)
        assert (await it.post(meet()))[0] == 200


@asynchronous
async def test_posts_say_that_the_store_is_away(store: StoreUnderTest) -> None:
    async with posting(store, "unix:///nowhere/store.sock") as it:
        status, told = await it.post(meet())
        assert status == 503
        assert b"nowhere" in told


async def slow(first: bytes) -> AsyncIterator[bytes]:
    yield first
    await asyncio.sleep(600)


@asynchronous
async def test_a_post_that_does_not_come_is_given_up(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    async with posting(store) as it:
        with monkeypatch.context() as patch:
            patch.setattr(gateway, "_READ_SECONDS", 0.2)
            assert (await it.post(slow(b"\0")))[0] == 408
        assert (await it.post(meet()))[0] == 200


@asynchronous
@pytest.mark.parametrize("bound", ["_MOST_OF_STORE", "_MOST_OF_ALL"])
async def test_posts_are_bounded_together(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(gateway, bound, 1 << 20)
    async with posting(store) as it:
        held = asyncio.create_task(it.post(slow(bytes(1 << 20))))
        await eventually(lambda: it.gateway._room.held == 1 << 20)
        assert await it.post(meet()) == (503, b"too much is posted at once: try again\n")
        held.cancel()
        await eventually(lambda: it.gateway._room.held == 0)
        assert (await it.post(meet()))[0] == 200


@asynchronous
async def test_so_many_posts_wait_for_a_store(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_MOST_WAITING", 0)

    def posts() -> int:
        return sum(one.posts for one in it.gateway._stores.values())

    async with posting(store) as it:
        held = [asyncio.create_task(it.post(slow(b"\0"))) for _ in range(16)]
        await eventually(lambda: posts() == 16)
        assert (await it.post(meet()))[0] == 503
        for task in held:
            task.cancel()
        await eventually(lambda: posts() == 0)
        assert (await it.post(meet()))[0] == 200


SIZES = {b"large": 9 << 20, b"later": 9 << 20, b"refused": 17 << 20, b"small": 4}


@asynchronous
async def test_answers_are_bounded(store: StoreUnderTest) -> None:
    async with posting(store) as it:
        joins = {
            name: asked(b"join", b"one", b"used:string\n", b"", b"", b"0", element=name, variable=b"") for name in SIZES
        }
        assert (await it.post(b"".join(joins.values())))[0] == 200
        for name, size in SIZES.items():
            store.client.hset(state_keys(it.scope, name.decode())[2], "used", bytes(size))
        rounds: list[list[bytes]] = []
        while joins:
            status, body = await it.post(b"".join(joins.values()))
            assert status == 200
            rounds.append([])
            for name in list(joins):
                there, size = struct.unpack_from("<BI", body)
                told, body = body[5 : 5 + size], body[5 + size :]
                if there:
                    del joins[name]
                    rounds[-1].append(name)
                    refused = told.startswith(b"\x0317825") and told.endswith(b" bytes are too many for a gateway")
                    assert refused if name == b"refused" else len(told) > SIZES[name]
            assert not body
        assert rounds == [[b"large"], [b"later", b"refused", b"small"]]
