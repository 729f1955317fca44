"""Metadata, trailers and deadlines through a real Envoy, between gRPC's own client and server."""

from __future__ import annotations

import math
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.targets import NATIVE, WASM
from tests.e2e import conftest
from tests.e2e.conftest import StartProxied
from tests.support.raw_grpc import string_field
from tests.support.serving import serve

PROTO = """syntax = "proto3";
package meta;
service Meta {
  rpc ask(Msg) returns (Msg);
  rpc list(Msg) returns (stream Msg);
}
message Msg { string body = 1; }
"""
_HEAD = "state:\n    pass\n\ninit():\n    pass\n\n"
_FORWARDS = "    send(rpc, Up)\n"


def element(req: str, resp: str = "") -> str:
    handlers = (("req", req, "Down"), ("resp", resp, "Up"))
    texts = [
        f"{name}(rpc):\n{textwrap.indent(textwrap.dedent(body), '    ')}    send(rpc, {way})\n"
        for name, body, way in handlers
    ]
    return _HEAD + "\n".join(texts)


ELEMENTS = {
    "no_admins": element("if contains(get_metadata(rpc, 'x-role'), 'admin'):\n    send(err('no admins', PERMISSION_DENIED), Up)\n"),
    "rewriter": element(
        """\
        roles = get_metadata_all(rpc, 'x-role')
        set_metadata(rpc, 'x-count', size(roles))
        set_metadata(rpc, 'x-role', get(roles, 1, 'none'))
        delete_metadata(rpc, 'x-gone')
        set_metadata(rpc, 'x-authority', authority(rpc))
        set_metadata(rpc, 'x-peer', '[' + peer(rpc) + ']')
        """,
        "set_metadata(rpc, 'x-multi', get_metadata(rpc, 'x-multi'))\nset_trailer(rpc, 'x-cost', get_trailer(rpc, 'x-price') + '!')\n",
    ),
    "later": element("set_metadata(rpc, 'retry-after', '7')\nset_metadata(rpc, 'grpc-retry-pushback-ms', '250')\nsend(err('later', UNAVAILABLE), Up)\n"),
    "covers": element("x = 1\n", "if status(rpc) == 5:\n    set_metadata(rpc, 'x-why', 'covered')\n    send(err('no details', FAILED_PRECONDITION), Up)\n"),
    "sees": element(
        "x = 1\n",
        """\
        if status(rpc) != 0:
            named = get_metadata(rpc, 'retry-after') + '|' + get_metadata(rpc, 'x-why') + get_metadata(rpc, 'x-multi')
            set_metadata(rpc, 'x-seen', to_string(status(rpc)) + '|' + named + '|' + get_metadata(rpc, 'content-type'))
            set_metadata(rpc, 'x-none', '[' + get_metadata(rpc, 'grpc-status') + get_trailer(rpc, 'x-secret') + ']')
        """,
    ),
    "no_bad": element("x = 1\n", "if get(rpc, 'body') == 'bad':\n    set_metadata(rpc, 'x-why', 'bad')\n    send(err('bad', PERMISSION_DENIED), Up)\n"),
    "no_answers": element("x = 1\n", "set_metadata(rpc, 'x-why', 'none')\nsend(err('none', UNAVAILABLE), Up)\n"),
    "statuses": element("set_metadata(rpc, 'x-last', last)\n", "last = last + '.'\n").replace("pass", "last: string", 1)
    + "\nend(rpc):\n    last = last + to_string(status(rpc))\n",
    "watches": element("x = 1\n", "if status(rpc) == 5:\n    set_trailer(rpc, 'x-saw', get_trailer(rpc, 'x-secret'))\n"),
    "remembers": element("set_metadata(rpc, 'x-last', last)\n", "set_trailer(rpc, 'x-own', 'o')\n").replace("pass", "last: string", 1)
    + "\nend(rpc):\n    last = get_trailer(rpc, 'x-price') + get_trailer(rpc, 'X-Own') + to_string(status(rpc))\n",
    "hurries": element("set_deadline(rpc, 0.3)\nset_metadata(rpc, 'x-left', to_string(deadline(rpc) < 0.31))\n"),
    "reads_deadline": element("set_metadata(rpc, 'x-left', to_string(deadline(rpc)))\n"),
}  # fmt: skip


@dataclass
class MetaServer:
    """Keeps the metadata of calls; the body says what to do."""

    seen: list[list[tuple[str, str | bytes]]] = field(default_factory=list)
    left: list[float | None] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        handlers = {
            "ask": grpc.unary_unary_rpc_method_handler(self._ask),
            "list": grpc.unary_stream_rpc_method_handler(self._list),
        }
        self._server, self.port = serve("meta.Meta", handlers)

    def _note(self, context: grpc.ServicerContext) -> None:
        self.seen.append([(it.key, it.value) for it in context.invocation_metadata()])
        self.left.append(context.time_remaining())

    def _ask(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note(context)
        if request[2:] == b"wait":
            self.gone.wait(10)
        context.send_initial_metadata((("x-multi", "one"), ("x-multi", "two")))
        context.set_trailing_metadata((("x-price", "3"), ("x-price", "4")))
        if request[2:] == b"fail":
            self._fail(context)
        return request

    def _list(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._note(context)
        context.set_trailing_metadata((("x-price", "3"), ("x-price", "4")))
        yield request
        if request[2:] == b"wait":
            self.gone.wait(10)
        if request[2:] == b"fail":
            self._fail(context)

    @staticmethod
    def _fail(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", b"secret"), ("x-secret", "secret")))
        context.abort(grpc.StatusCode.NOT_FOUND, "secret")

    def close(self) -> None:
        self.gone.set()
        self._server.stop(None)


@dataclass
class Meta:
    server: MetaServer
    channel: grpc.Channel

    def ask(self, body: str = "hello", metadata: tuple[tuple[str, str], ...] = (), timeout: float | None = 9.0):
        call = self.channel.unary_unary("/meta.Meta/ask").with_call
        return call(string_field(1, body.encode()), metadata=metadata, timeout=timeout)[1]

    def list(self, body: str, timeout: float | None = 9.0):
        return self.channel.unary_stream("/meta.Meta/list")(string_field(1, body.encode()), timeout=timeout)


@pytest.fixture
def through(
    start_proxied: StartProxied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Meta]]:
    file = tmp_path / "meta.proto"
    file.write_text(PROTO)
    opened: list[Meta] = []

    def open_(*names: str, method: str = "ask") -> Meta:
        for name in names:
            for part in name.split("+"):
                monkeypatch.setitem(conftest.ELEMENTS, part, ELEMENTS[part])
        server = MetaServer()
        signature = load_proto(FileSource(file)).method(method)
        proxied = start_proxied(names[-1], server=server, method=signature, before=names[:-1])
        opened.append(Meta(server, grpc.insecure_channel(f"127.0.0.1:{proxied.port}")))
        return opened[-1]

    yield open_
    for it in opened:
        it.channel.close()
        it.server.close()


def told(error: grpc.RpcError) -> dict[str, str | bytes]:
    """The metadata that came with the status, but for what HTTP adds."""
    return {key: value for key, value in error.trailing_metadata() if key not in ("date", "server", "content-type")}


def test_every_value_of_a_key_is_looked_at(through):
    meta = through("no_admins")
    meta.ask(metadata=(("x-role", "user"), ("x-role", "guest")))
    with pytest.raises(grpc.RpcError) as refused:
        meta.ask(metadata=(("x-role", "user"), ("x-role", "admin")))
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, "no admins")
    assert len(meta.server.seen) == 1


def test_metadata_are_read_set_and_taken_away_with_all_their_values(through):
    meta = through("rewriter")
    sent = (("x-role", "user"), ("x-role", "admin"), ("x-gone", "1"), ("x-gone", "2"))
    call = meta.ask(metadata=sent)
    (seen,) = meta.server.seen
    own = [(key, value) for key, value in seen if key.startswith("x-") and key != "x-forwarded-proto"]
    authority = next(value for key, value in own if key == "x-authority")
    assert authority.startswith("127.0.0.1:")
    assert sorted(own) == [("x-authority", authority), ("x-count", "2"), ("x-peer", "[]"), ("x-role", "admin")]
    assert [it for it in call.initial_metadata() if it[0] == "x-multi"] == [("x-multi", "one,two")]
    assert dict(call.trailing_metadata())["x-cost"] == "3,4!"


def test_an_error_takes_along_what_was_set(through):
    meta = through("later")
    with pytest.raises(grpc.RpcError) as refused:
        meta.ask()
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNAVAILABLE, "later")
    assert told(refused.value) == {"retry-after": "7", "grpc-retry-pushback-ms": "250"}
    assert meta.server.seen == []


@pytest.mark.parametrize("method", ["ask", "list"])
def test_an_error_in_the_place_of_another_has_nothing_of_it(through, method: str):
    meta = through("covers", method=method)
    with pytest.raises(grpc.RpcError) as refused:
        meta.ask("fail") if method == "ask" else list(meta.list("fail"))
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "no details")
    assert told(refused.value) == {"x-why": "covered"}


@pytest.mark.parametrize("method", ["ask", "list"])
def test_the_trailers_of_an_error_are_read_and_set(through, method: str):
    meta = through("watches", method=method)
    with pytest.raises(grpc.RpcError) as passed:
        meta.ask("fail") if method == "ask" else list(meta.list("fail"))
    assert (passed.value.code(), passed.value.details()) == (grpc.StatusCode.NOT_FOUND, "secret")
    assert told(passed.value)["x-saw"] == "secret"


@pytest.mark.parametrize("method", ["ask", "list"])
def test_end_sees_the_trailers_with_which_a_response_left(through, method: str):
    meta = through("remembers", method=method)
    for _ in range(2):  # by the second the first has ended
        meta.ask() if method == "ask" else list(meta.list("hello"))
    assert dict(meta.server.seen[1])["x-last"] == "3,4o0"


def test_the_deadline_is_the_callers(through):
    meta = through("reads_deadline")
    meta.ask(timeout=9.0)
    meta.ask(timeout=None)
    bounded, unbounded = (float(dict(it)["x-left"]) for it in meta.server.seen)
    assert 5.0 < bounded < 9.5, "gRPC rounds a timeout up as it writes it"
    assert unbounded == math.inf


@pytest.mark.parametrize("timeout", [None, 9.0])
def test_a_shortened_call_ends_in_time_whatever_the_server_does(through, timeout: float | None):
    meta = through("hurries")
    meta.ask()
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as ended:
        meta.ask("wait", timeout=timeout)
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 8.0, "it was the caller's own deadline"
    assert dict(meta.server.seen[-1])["x-left"] == "true"
    assert meta.server.left[-1] < 1.0


def test_a_shortened_stream_ends_in_time_after_its_first_message(through, target: str):
    meta = through("hurries", method="list")
    replies = meta.list("wait")
    next(replies)
    with pytest.raises(grpc.RpcError) as ended:
        next(replies)
    exact = {grpc.StatusCode.DEADLINE_EXCEEDED}  # a wasm module cannot end a response that has begun but by a reset
    allowed = exact if target == NATIVE else exact | {grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED}
    assert ended.value.code() in allowed


@pytest.mark.parametrize("modules", [("sees+later",), ("sees", "later")], ids=len)
def test_a_refused_request_is_the_same_in_one_module_and_in_two(through, modules: tuple[str, ...]):
    meta = through(*modules)
    with pytest.raises(grpc.RpcError) as refused:
        meta.ask()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    seen = {"x-seen": "14|7||application/grpc", "x-none": "[]"}
    assert told(refused.value) == {"retry-after": "7", "grpc-retry-pushback-ms": "250", **seen}


@pytest.mark.parametrize("modules", [("sees+covers",), ("sees", "covers")], ids=len)
def test_a_refused_response_is_the_same_in_one_module_and_in_two(through, modules: tuple[str, ...]):
    meta = through(*modules)
    with pytest.raises(grpc.RpcError) as refused:
        meta.ask("fail")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert told(refused.value) == {"x-why": "covered", "x-seen": "9||covered|application/grpc", "x-none": "[]"}


def refused(call) -> tuple[grpc.StatusCode, dict[str, str | bytes]]:
    with pytest.raises(grpc.RpcError) as ended:
        call()
    return ended.value.code(), told(ended.value)


@pytest.mark.parametrize("modules", [("sees+no_bad+statuses",), ("sees", "no_bad", "statuses")], ids=len)
def test_a_refused_first_message_is_the_same_in_one_module_and_in_three(through, modules: tuple[str, ...], target: str):
    meta = through(*modules, method="list")
    seen = {"x-seen": "7||bad|application/grpc", "x-none": "[]"}
    if target == WASM and len(modules) > 1:  # a reply in the place of a response goes past the modules before it
        seen = {}
    for _ in range(3):
        assert refused(lambda: list(meta.list("bad"))) == (grpc.StatusCode.PERMISSION_DENIED, {"x-why": "bad", **seen})
    assert [it.decode() for it in (reply[2:] for reply in meta.list("hello"))] == ["hello"]
    assert dict(meta.server.seen[-1])["x-last"] == ".1.1.1", "one message each, and no error"


@pytest.mark.parametrize("modules", [("sees+no_answers",), ("sees", "no_answers")], ids=len)
@pytest.mark.parametrize("method", ["ask", "list"])
def test_a_refusal_of_all_responses_is_the_same_in_one_module_and_in_two(
    through, modules: tuple[str, ...], method: str, target: str
):
    meta = through(*modules, method=method)
    seen = {"x-seen": "14||none|application/grpc", "x-none": "[]"}
    if target == WASM and len(modules) > 1:
        seen = {}
    call = {"ask": lambda: meta.ask("hello"), "list": lambda: list(meta.list("hello"))}[method]
    for _ in range(3):
        assert refused(call) == (grpc.StatusCode.UNAVAILABLE, {"x-why": "none", **seen})
