"""Streams through elements whose state is in a store: every message waits for it, and nothing overtakes it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.options import StoreOptions
from appnet.state.layout import PARTS, state_keys
from tests.e2e.conftest import ELEMENTS, proxies
from tests.e2e.test_streams import PROTO, Chat, ChatServer, message
from tests.support.shared_store import StoreUnderTest, store_under_test

STRONG = """\
state:
    @consistency(strong)
    seen: int
    @consistency(strong)
    told: int
    @consistency(strong)
    ended: int

init():
    pass

req(rpc):
    seen = seen + 1
    if seen > 1000000:
        send(err('enough'), Up)
    if get(rpc, 'body') == 'bad':
        send(err('no bad ones', PERMISSION_DENIED), Up)
    set(rpc, 'body', concat(get(rpc, 'body'), '!'))
    send(rpc, Down)

resp(rpc):
    told = told + 1
    if told > 1000000 + ended:
        send(err('enough'), Up)
    if contains(get(rpc, 'body'), 'secret'):
        send(err('no secrets', OUT_OF_RANGE), Up)
    if status(rpc) == 5:
        send(err('nothing there', UNAVAILABLE), Up)
    set(rpc, 'body', concat(get(rpc, 'body'), '?'))
    send(rpc, Up)

end(rpc):
    ended = ended + 1
"""
BUSY = "local n = 0 for i = 1, 60000000 do n = n + i % 7 end"  # for seconds
ROUNDS = 40
PATIENCE = 60


@pytest.fixture(scope="module")
def store() -> Iterator[StoreUnderTest]:
    with store_under_test() as it:
        yield it


@pytest.fixture
def scope(store: StoreUnderTest) -> str:
    return store.scope()


@pytest.fixture
def target() -> str:
    return NATIVE


@pytest.fixture
def open_chat(
    store: StoreUnderTest, scope: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> Iterator:
    file = tmp_path / "chat.proto"
    file.write_text(PROTO)
    monkeypatch.setitem(ELEMENTS, "strong", STRONG)
    opened: list[Chat] = []
    with proxies(target, tmp_path) as start:

        def open_(method: str, timeout: float = 30.0) -> Chat:
            server = ChatServer()
            options = StoreOptions(store.url, scope, timeout, merge_every=0.1)
            proxied = start("strong", server=server, method=load_proto(FileSource(file)).method(method), store=options)
            opened.append(Chat(proxied, server, grpc.insecure_channel(f"127.0.0.1:{proxied.port}")))
            return opened[-1]

        yield open_
        for chat in opened:
            chat.channel.close()
            chat.server.close()


def until_error(replies: Iterator[bytes]) -> Iterator[bytes]:
    with pytest.raises(grpc.RpcError):
        yield from replies


def test_each_message_waits_and_none_overtakes_it(open_chat) -> None:
    chat = open_chat("talk")
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    replies = chat.channel.stream_stream("/chat.Chat/talk")(iter(outbox.get, None), timeout=PATIENCE)
    for word in ["hello", "x" * 100_000, "", "bye"]:
        outbox.put(message(word))  # and only then the next: what is whole does not wait for it
        assert next(replies) == message(f"{word}!?")
    words = [f"{number} {'y' * (number * 97 % 4000)}" for number in range(200)]
    for word in words:
        outbox.put(message(word))
    outbox.put(None)
    assert list(replies) == [message(f"{it}!?") for it in words]
    assert replies.code() is grpc.StatusCode.OK


def test_many_streams_at_once(open_chat) -> None:
    chat = open_chat("talk")
    found: dict[int, list[bytes]] = {}

    def talk(number: int) -> None:
        words = [message(f"{number}-{it}") for it in range(30)]
        found[number] = list(chat.channel.stream_stream("/chat.Chat/talk")(iter(words), timeout=PATIENCE))

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert found == {number: [message(f"{number}-{it}!?") for it in range(30)] for number in range(8)}


@pytest.mark.parametrize("before", [0, 1, 30])
def test_a_refused_request_ends_the_stream_with_its_status(open_chat, before: int) -> None:
    chat = open_chat("talk")
    for _ in range(ROUNDS):
        words = [message(str(number)) for number in range(before)]
        replies = chat.channel.stream_stream("/chat.Chat/talk")(
            iter([*words, message("bad"), message("late")]), timeout=PATIENCE
        )
        with pytest.raises(grpc.RpcError):
            list(replies)
        assert (replies.code(), replies.details()) == (grpc.StatusCode.PERMISSION_DENIED, "no bad ones")
    assert message("late!") not in chat.server.seen


@pytest.mark.parametrize("before", [0, 1, 12])
@pytest.mark.parametrize("behind", [0, 1, 12])
def test_a_refused_response_ends_the_stream_with_its_status(open_chat, before: int, behind: int) -> None:
    """Neither the refused message nor what stands behind it gets through, whatever has come while it waited."""
    chat = open_chat("list")
    words = [*(str(it) for it in range(before)), "secret", *("late" for _ in range(behind))]
    for _ in range(ROUNDS // 4):
        replies = chat.channel.unary_stream("/chat.Chat/list")(message(" ".join(words)), timeout=PATIENCE)
        got = []
        with pytest.raises(grpc.RpcError):
            got.extend(replies)  # up to the error
        assert got == [message(f"{it}?") for it in range(before)][: len(got)]
        assert (replies.code(), replies.details()) == (grpc.StatusCode.OUT_OF_RANGE, "no secrets")


def test_an_error_at_the_end_passes_the_handlers(open_chat) -> None:
    chat = open_chat("list")
    for _ in range(ROUNDS):
        replies = chat.channel.unary_stream("/chat.Chat/list")(message("two gone "), timeout=PATIENCE)
        assert next(replies) == message("two?")
        with pytest.raises(grpc.RpcError):
            list(replies)
        assert (replies.code(), replies.details()) == (grpc.StatusCode.UNAVAILABLE, "nothing there")


def test_many_requests_and_one_response(open_chat) -> None:
    chat = open_chat("gather")
    gather = chat.channel.stream_unary("/chat.Chat/gather")
    for _ in range(ROUNDS):
        assert gather(iter([message(it) for it in "abc"]), timeout=PATIENCE) == message("a!+b!+c!?")
        assert gather(iter([]), timeout=PATIENCE) == message("?")
        for words, code in ((("a", "bad"), "PERMISSION_DENIED"), (("a secret",), "OUT_OF_RANGE")):
            with pytest.raises(grpc.RpcError) as refused:
                gather(iter([message(it) for it in words]), timeout=PATIENCE)
            assert refused.value.code() is grpc.StatusCode[code]


def test_streams_that_callers_give_up_are_counted_to_their_end(open_chat, store: StoreUnderTest, scope: str) -> None:
    chat = open_chat("talk")
    for number in range(ROUNDS):
        outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        replies = chat.channel.stream_stream("/chat.Chat/talk")(iter(outbox.get, None), timeout=PATIENCE)
        outbox.put(message("one"))
        if number % 2:
            assert next(replies) == message("one!?")
        replies.cancel()
        outbox.put(None)
    talk = chat.channel.stream_stream("/chat.Chat/talk")
    assert list(talk(iter([message("last")]), timeout=PATIENCE)) == [message("last!?")]
    values = dict(zip(PARTS, state_keys(scope, "strong"), strict=True))["values"]

    def ended() -> int:
        found = store.client.hget(values, "ended")
        assert isinstance(found, bytes | None)
        return int.from_bytes(found or b"", "little")

    until = time.monotonic() + PATIENCE
    while ended() < ROUNDS // 2 + 1:  # those that had an answer; of the others some may not have come
        assert time.monotonic() < until, ended()
        time.sleep(0.05)
    assert ended() <= ROUNDS + 1


def test_a_stream_ends_with_a_status_when_the_store_leaves(open_chat, store: StoreUnderTest) -> None:
    chat = open_chat("talk", timeout=0.2)
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    replies = chat.channel.stream_stream("/chat.Chat/talk")(iter(outbox.get, None), timeout=PATIENCE)
    outbox.put(message("hello"))
    assert next(replies) == message("hello!?")
    busy = threading.Thread(target=store.client.eval, args=(BUSY, 0))
    busy.start()
    outbox.put(message("lost"))
    for _ in until_error(replies):
        outbox.put(message("lost"))  # the one before came before the store was busy
    outbox.put(None)
    busy.join()
    assert (replies.code(), replies.details()) == (grpc.StatusCode.UNAVAILABLE, "state of strong is unavailable")
