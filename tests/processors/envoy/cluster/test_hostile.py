"""Peers that lie, flood, stall or are nobody: they get nothing, others get theirs, and nothing is kept of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from appnet.processors import delivery
from appnet.processors.admission import LIMITS, Limits, Recognition
from appnet.processors.envoy.cluster.sending import Sending
from appnet.processors.envoy.cluster.server import ClusterServer
from appnet.processors.envoy.targets import WASM
from appnet.processors.envoy.xds.snapshot import EXTENSIONS
from appnet.processors.processor import Acceptance, Caller
from tests.support.asynchronous import asynchronous, eventually
from tests.support.cluster import CHAIN, GROUP, IDLE, LABELS, SERVER, Control, Tokens, artifacts, serving

_METHOD = "/envoy.service.extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs"
OTHER, POD = Caller("other", "echo-server"), replace(SERVER, pod="server-1")
KNOWN = {"good": SERVER, "other": OTHER, "pod": POD, "more": Caller("default", "more")}


def first(chain: str = CHAIN, **metadata: Any) -> DiscoveryRequest:
    """The first request of a proxy of `GROUP`, but for what it says otherwise."""
    request = DiscoveryRequest(type_url=EXTENSIONS, resource_names=[chain])
    request.node.id = "node"
    said = {"NAME": "server-1", "NAMESPACE": "default", "SERVICE_ACCOUNT": "echo-server", "LABELS": LABELS}
    request.node.metadata.update({**said, **metadata})
    return request


@contextlib.asynccontextmanager
async def stream(server: ClusterServer, token: str | None = "good", *requests: DiscoveryRequest) -> AsyncIterator[Any]:
    """A stream on a connection of its own, with these requests sent."""
    shown = (("authorization", f"Bearer {token}"),) if token is not None else ()
    async with grpc.aio.insecure_channel(
        str(server.address), options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        method = channel.stream_stream(_METHOD, DiscoveryRequest.SerializeToString, DiscoveryResponse.FromString)
        call = method(metadata=shown)
        for it in requests:
            with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                await call.write(it)
        yield call


async def refused(server: ClusterServer, token: str | None, *requests: DiscoveryRequest) -> tuple[str, str]:
    """How a stream ends that the server ends."""
    async with stream(server, token, *requests) as call:
        code = await asyncio.wait_for(call.code(), 10)
        return code.name, await call.details()


@pytest.fixture
def control() -> Control:
    return Control("v1", artifacts("one", WASM))


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_ASKING_SECONDS", 0.3)


@pytest.mark.parametrize("token", [None, "", "bad", "good x", "GOOD"])
@asynchronous
async def test_who_proves_nothing_is_turned_away(control: Control, token: str | None) -> None:
    async with serving(control, Tokens(KNOWN)) as server:
        code, text = await refused(server, token, first())
        assert (code, text) == ("UNAUTHENTICATED", "no token or certificate of a service account")
        await eventually(lambda: server.is_idle)
        assert control.events == []


@asynchronous
async def test_where_nobody_can_tell_who_it_is_it_may_come_back(control: Control) -> None:
    async def broken(_token: str | None, _peer: str | None) -> Caller | None:
        raise RuntimeError("the API server is away")

    async with serving(control, broken) as server:
        code, text = await refused(server, "good", first())
        assert (code, text) == ("UNAVAILABLE", "the caller cannot be checked now: try again later")
        await eventually(lambda: server.is_idle)


@asynchronous
async def test_silent_ones_are_ended(control: Control, seconds: None) -> None:
    async def silent(_token: str | None, _peer: str | None) -> Caller | None:
        await asyncio.sleep(60)
        return None

    async with serving(control, silent) as server:
        assert (await refused(server, "good", first()))[0] == "UNAVAILABLE"
    async with serving(control, Tokens(KNOWN)) as server:
        assert await refused(server, "good") == ("INVALID_ARGUMENT", "the stream asks for nothing")
        await eventually(lambda: server.is_idle)


def nameless() -> DiscoveryRequest:
    request = first(NAME="")
    request.node.id = ""
    return request


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (DiscoveryRequest(), "a stream is about one filter"),
        (DiscoveryRequest(type_url=EXTENSIONS, resource_names=["a"]), "the node has no name"),
        (first(NAME="a\nb"), "the node has no name"),
        (first(NAME="a" * 600), "the node has no name"),
        (nameless(), "the node has no name"),
        (DiscoveryRequest(type_url=EXTENSIONS, resource_names=["a", CHAIN]), "a stream is about one filter"),
    ],
)
@asynchronous
async def test_requests_that_no_proxy_makes(control: Control, request_: DiscoveryRequest, text: str) -> None:
    async with serving(control, Tokens(KNOWN)) as server:
        assert await refused(server, "good", request_) == ("INVALID_ARGUMENT", text)
        await eventually(lambda: server.is_idle)


@asynchronous
async def test_a_request_that_is_too_long(control: Control) -> None:
    async with serving(control, Tokens(KNOWN)) as server:
        assert (await refused(server, "good", first(MORE="x" * LIMITS.request)))[0] == "RESOURCE_EXHAUSTED"
        await eventually(lambda: server.is_idle)


@pytest.mark.parametrize(
    ("token", "said", "reason"),
    [
        ("other", {}, "it says that it is in the namespace 'default', but has proved 'other'"),
        ("other", {"NAMESPACE": "other"}, "nothing in the namespace other has this filter"),
        ("good", {"SERVICE_ACCOUNT": ""}, "it says that it is of the service account '', but has proved 'echo-server'"),
        ("pod", {"NAME": "server-2"}, "it says that it is the pod 'server-2', but has proved 'server-1'"),
        ("good", {"LABELS": {}}, "it lacks labels of the proxies of default/echo/server: app=server"),
        ("good", {"LABELS": "app=server"}, "it lacks labels of the proxies of default/echo/server: app=server"),
        (
            "good",
            {"LABELS": {"app": {"server": 1}}},
            "it lacks labels of the proxies of default/echo/server: app=server",
        ),
        ("more", {"SERVICE_ACCOUNT": "more"}, "the proxies of default/echo/server run as echo-server, not as more"),
    ],
)
@asynchronous
async def test_who_belongs_to_no_group_is_served_nothing(
    control: Control, token: str, said: dict[str, Any], reason: str
) -> None:
    async with serving(control, Tokens(KNOWN)) as server:
        async with stream(server, token, first(**said)) as call:
            await eventually(lambda: bool(server.strangers()))
            assert [it.reason for it in server.strangers()] == [reason]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call.read(), 0.2)
        await eventually(lambda: server.is_idle)
        assert control.events == []


@asynchronous
async def test_a_stream_stays_with_its_filter(control: Control) -> None:
    async with serving(control, Tokens(KNOWN)) as server, stream(server, "good", first(IDLE)) as call:
        response = await call.read()
        for names in ([CHAIN], [IDLE, CHAIN], []):
            await call.write(DiscoveryRequest(resource_names=names, response_nonce=response.nonce))
            await call.write(first(CHAIN, NAMESPACE="other"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.read(), 0.2)
        (node,) = server.nodes(GROUP.name)
        assert node.stands("v1").error == f"it has not asked for {CHAIN}"


@asynchronous
async def test_one_name_is_one_proxy(control: Control) -> None:
    group = replace(GROUP, accounts=frozenset({"echo-server", "more"}))
    async with (
        serving(control, Tokens(KNOWN), groups=[group]) as server,
        stream(server, "good", first()) as call,
        contextlib.AsyncExitStack() as stack,
    ):
        await call.read()
        await stack.enter_async_context(stream(server, "more", first(SERVICE_ACCOUNT="more")))
        await eventually(lambda: bool(server.strangers()))
        assert [it.reason for it in server.strangers()] == ["another proxy of this name is connected, as echo-server"]
        assert [it.caller for it in server.nodes(GROUP.name)] == [SERVER]


@asynchronous
async def test_no_address_has_more_streams_than_it_may(control: Control) -> None:
    async with serving(control, Tokens(KNOWN), limits=replace(LIMITS, host=3)) as server:
        async with contextlib.AsyncExitStack() as stack:
            for it in range(3):
                await stack.enter_async_context(stream(server, "good", first(NAME=f"server-{it}")))
            await eventually(lambda: len(server.nodes(GROUP.name)) == 3)
            assert await refused(server, "good", first()) == ("RESOURCE_EXHAUSTED", "127.0.0.1 has 3 streams open")
        await eventually(lambda: server.is_idle)


@pytest.mark.parametrize("limits", [replace(LIMITS, unknown_host=2), replace(LIMITS, unknown=2)])
@asynchronous
async def test_few_wait_to_be_recognised(control: Control, limits: Limits) -> None:
    known = asyncio.Event()

    async def slow(_token: str | None, _peer: str | None) -> Caller | None:
        await known.wait()
        return SERVER

    async with serving(control, slow, limits=limits) as server:
        async with contextlib.AsyncExitStack() as stack:
            for it in range(2):
                await stack.enter_async_context(stream(server, f"token-{it}", first(NAME=f"server-{it}")))
            await eventually(lambda: server._peers._unknown.total() == 2)
            refusal = ("RESOURCE_EXHAUSTED", "too many callers wait to be recognised")
            assert await refused(server, "token", first()) == refusal
            known.set()
            await eventually(lambda: len(server.nodes(GROUP.name)) == 2)
            await stack.enter_async_context(stream(server, "token", first()))
            await eventually(lambda: len(server.nodes(GROUP.name)) == 2 and server._peers._unknown.total() == 0)
        await eventually(lambda: server.is_idle)


@asynchronous
async def test_strangers_are_few(control: Control) -> None:
    async with serving(control, Tokens(KNOWN), limits=replace(LIMITS, account=2, strangers=3)) as server:
        async with contextlib.AsyncExitStack() as stack:

            async def strange(token: str, number: int, **said: Any) -> None:
                await stack.enter_async_context(stream(server, token, first("x", **said)))
                await eventually(lambda: len(server.strangers()) == number)

            await strange("good", 1)
            await strange("good", 2)
            reason = "nothing in the namespace default has this filter"
            assert await refused(server, "good", first("x")) == ("RESOURCE_EXHAUSTED", reason)
            await strange("more", 3, SERVICE_ACCOUNT="more")
            assert (await refused(server, "more", first("x", SERVICE_ACCOUNT="more")))[0] == "RESOURCE_EXHAUSTED"
            await stack.enter_async_context(stream(server, "good", first()))  # no stranger
            await eventually(lambda: len(server.nodes(GROUP.name)) == 1)
        await eventually(lambda: server.is_idle)


@asynchronous
async def test_proxies_that_come_before_the_groups_wait_for_them(control: Control) -> None:
    limits = replace(LIMITS, account=0, strangers=0)
    async with (
        serving(control, Tokens(KNOWN), groups=None, limits=limits) as server,
        stream(server, "good", first()) as call,
    ):
        await eventually(lambda: not server.is_idle)
        assert server.strangers() == []
        server.expect([GROUP])
        assert (await call.read()).resources


@asynchronous
async def test_those_who_do_not_read_hold_nobody_up(control: Control) -> None:
    (artifact,) = control.artifacts
    control.artifacts = (replace(artifact, binary=artifact.binary + bytes(3 << 20)),)
    async with serving(control, Tokens(KNOWN)) as server:
        server._sending = Sending(at_once=1, patience=0.1)
        async with contextlib.AsyncExitStack() as stack:
            for it in range(3):
                await stack.enter_async_context(stream(server, "good", first(NAME=f"slow-{it}")))
            await eventually(lambda: len(server.nodes(GROUP.name)) == 3)
            call = await stack.enter_async_context(stream(server, "good", first(NAME="quick")))
            response = await asyncio.wait_for(call.read(), 5)
            await call.write(DiscoveryRequest(response_nonce=response.nonce))
            answers = {it.proxy: await it.answer("v1", 0.2) for it in server.nodes(GROUP.name)}
            accepted = [proxy for proxy, it in answers.items() if it.acceptance is Acceptance.ACKED]
            assert (len(answers), accepted) == (4, ["quick.default"])
        await eventually(lambda: server.is_idle)


@asynchronous
async def test_one_address_has_few_messages_under_way() -> None:
    sending, taken, begun = Sending(at_once=2, patience=0.01, of_host=3), asyncio.Event(), list[str]()

    async def write(message: object) -> None:
        begun.append(str(message))
        if "slow" in str(message):
            await taken.wait()

    def send(host: str, message: str) -> asyncio.Task[None]:
        return asyncio.create_task(sending.send(host, lambda: message, write))

    slow = [send("a", f"slow {it}") for it in range(5)]
    await asyncio.sleep(0.2)
    assert begun == ["slow 0", "slow 1", "slow 2"]
    await asyncio.wait_for(send("b", "quick"), 5)
    slow.pop(0).cancel()
    await eventually(lambda: len(begun) == 5)
    assert begun[3:] == ["quick", "slow 3"]
    taken.set()
    await asyncio.wait(slow, timeout=5)
    assert begun[-1] == "slow 4"
    assert not sending._hosts


# --- who is asked ---


@asynchronous
async def test_each_caller_is_asked_about_once_in_a_while() -> None:
    tokens = Tokens(KNOWN)
    recognition = Recognition(tokens, seconds=0.2)
    found = await asyncio.gather(*(recognition.caller(it, None) for it in ("good", "good", "bad", "good", "bad")))
    assert found == [SERVER, SERVER, None, SERVER, None]
    assert sorted(tokens.asked) == ["bad", "good"]
    await recognition.caller("good", None)
    assert sorted(tokens.asked) == ["bad", "good"]
    await asyncio.sleep(0.25)
    tokens.known.clear()
    assert await recognition.caller("good", None) is None
    assert await recognition.caller(None, "good") is None  # a certificate's name is no token
    assert tokens.asked[2:] == ["good", "good"]
    assert b"good" not in b"".join(recognition._known)


@asynchronous
async def test_a_stream_that_ends_while_it_is_asked_about_leaves_the_others_their_answer() -> None:
    recognition = Recognition(Tokens(KNOWN))
    first_, second = (asyncio.create_task(recognition.caller("good", None)) for _ in range(2))
    await asyncio.sleep(0)
    first_.cancel()
    assert await second == SERVER
