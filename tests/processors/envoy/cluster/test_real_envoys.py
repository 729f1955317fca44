"""Real Envoys in pods that do not exist: who they prove to be, what they run, and what they keep."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from appnet.observe.receiver import OtlpReceiver
from appnet.processors.envoy.cluster.server import ClusterServer
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.processor import Acceptance, Caller, Serving
from appnet.processors.registry import processor
from appnet.state.gateway import Door, Gateway
from appnet.state.layout import state_keys
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ClientTls, ServerTls
from tests.support.asynchronous import asynchronous, eventually
from tests.support.certificates import Authority
from tests.support.cluster import (
    CHAIN,
    GROUP,
    IDLE,
    SERVER,
    ClusterEnvoy,
    Control,
    Pod,
    Tokens,
    artifacts,
    damaged,
    serving,
    sharing,
)
from tests.support.proxies import KEY
from tests.support.raw_grpc import RecordingServer, frame, string_field
from tests.support.shared_store import store_under_test
from tests.support.store_wire import store_wire

REFUSED, PASSED, DENIED = "10 firewall", "0", "7 RBAC: access denied"
SPIFFE = "spiffe://cluster.local/ns/default/sa/echo-server"


@dataclass
class Ground:
    """What proxies and control planes share: an authority, the file of a token, and the application."""

    folder: Path
    authority: Authority
    tls: ServerTls
    upstream: Address

    @property
    def token(self) -> Path:
        return self.folder / "token"

    def pod(self, control: Address) -> Pod:
        """One that shows the token."""
        return Pod(self.upstream, control, token=self.token, tls=ClientTls(self.authority.certificate))

    def pod_with_certificate(self, control: Address, uri: str) -> Pod:
        pair = self.authority.pair("pod", server=False, uri=uri)
        return Pod(self.upstream, control, tls=ClientTls(self.authority.certificate, pair.certificate, pair.key))

    @property
    def mutual(self) -> ServerTls:
        return replace(self.tls, client_ca=self.authority.certificate)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    authority = Authority(tmp_path)
    pair = authority.pair("control")
    (tmp_path / "token").write_text("good")
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream:
        address = Address("127.0.0.1", upstream.port)
        yield Ground(tmp_path, authority, ServerTls(pair.certificate, pair.key), address)


def tokens() -> Tokens:
    other = Caller("default", "other")
    return Tokens({"good": SERVER, SPIFFE: SERVER, "other": other, SPIFFE + "s": other})


@contextlib.asynccontextmanager
async def envoy(ground: Ground, pod: Pod) -> AsyncIterator[ClusterEnvoy]:
    async with ClusterEnvoy(ground.folder / "envoy", pod) as it:
        await it.ready()
        yield it


async def accepted(server: ClusterServer, version: str) -> Acceptance:
    await eventually(lambda: bool(server.nodes(GROUP.name)))
    (node,) = server.nodes(GROUP.name)
    return (await node.answer(version, 10)).acceptance


def offer(server: ClusterServer, control: Control, version: str, word: str, *targets: str) -> None:
    control.version, control.artifacts = version, artifacts(word, *targets)
    (node,) = server.nodes(GROUP.name)
    node.offer(control.version, control.artifacts)


@asynchronous
async def test_webassembly_merges_through_the_control_planes_gateway(ground: Ground, tmp_path: Path) -> None:
    weak = "state:\n    @consistency(weak)\n    total: int\ninit():\n    pass\nreq(rpc):\n    total = total + 1\n"
    element, scope = (
        f"{weak}    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n",
        "appnet:default.echo/frontend/server",
    )
    groups, receiver = [replace(GROUP, passwords={"fig": ""})], OtlpReceiver()
    with store_under_test() as store:
        async with store_wire(Path(store.url.removeprefix("unix://"))) as wire, Gateway(KEY.gateway_secret) as gateway:
            gateway.open("echo", [Door(scope, wire.url)])
            receiver.serve_besides(gateway.add_to)
            control = Control("v1", sharing(tmp_path / "sample", "sidecar", wire.url, element))
            async with receiver, serving(control, tokens(), tls=ground.tls, groups=groups, loader="another") as server:
                pod = replace(ground.pod(server.address), collector=receiver.address)
                async with envoy(ground, pod) as proxy:
                    assert await accepted(server, "v1") is Acceptance.ACKED
                    assert [await proxy.outcome("one") for _ in range(3)] == [PASSED] * 3
                    meta, *_, instances = state_keys(scope, "firewall", "total")
                    await eventually(lambda: store.client.hget(meta, "sequence") not in (None, b"0"))
                    assert store.client.zcard(instances) in {1, 2}  # Envoy's main thread has a machine, too


@pytest.mark.parametrize("target", [NATIVE, WASM])
@asynchronous
async def test_a_proxy_with_a_token_runs_one_version_after_the_other(ground: Ground, target: str) -> None:
    control, known = Control("v1", artifacts("one", target)), tokens()
    async with serving(control, known, tls=ground.tls) as server:
        async with envoy(ground, ground.pod(server.address)) as proxy:
            assert await accepted(server, "v1") is Acceptance.ACKED
            assert [await proxy.outcome(it) for it in ("one", "two")] == [REFUSED, PASSED]
            offer(server, control, "v2", "two", target)
            assert await accepted(server, "v2") is Acceptance.ACKED
            assert [await proxy.outcome(it) for it in ("one", "two")] == [PASSED, REFUSED]
            assert await proxy.reloads() == {CHAIN: 2, IDLE: 1}
            (node,) = server.nodes(GROUP.name)
            assert (await node.answer("v1", 0)).acceptance is Acceptance.SUPERSEDED
            assert (node.proxy, node.caller, node.target, node.why) == ("server-1.default", SERVER, NATIVE, "")
            assert control.events == [f"+{node.name}"]
            assert known.asked == ["good"]  # once for both streams
        await eventually(lambda: not node.running)
        await eventually(lambda: server.is_idle)
        assert control.events == [f"+{node.name}", f"-{node.name}"]
        assert server.nodes(GROUP.name) == []
        assert [(it.name, it.stands("v2").acceptance) for it in server.gone(GROUP.name)] == [
            (node.name, Acceptance.ACKED)
        ]


@pytest.mark.parametrize("restarted", [False, True], ids=["same-server", "new-server"])
@pytest.mark.parametrize("target", [NATIVE, WASM])
@asynchronous
async def test_what_was_refused_is_never_taken_for_accepted(ground: Ground, target: str, *, restarted: bool) -> None:
    control = Control("v1", artifacts("one", target))
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(contextlib.AsyncExitStack())
        server = await first.enter_async_context(serving(control, tokens(), tls=ground.tls))
        proxy = await stack.enter_async_context(envoy(ground, ground.pod(server.address)))
        assert await accepted(server, "v1") is Acceptance.ACKED
        control.version, control.artifacts = "v2", tuple(map(damaged, artifacts("two", target)))
        for it in server.nodes(GROUP.name):
            it.offer(control.version, control.artifacts)
        (node,) = server.nodes(GROUP.name)
        answer = await node.answer("v2", 10)
        assert answer.acceptance is Acceptance.NACKED
        assert answer.error
        if restarted:
            address = server.address
            await first.aclose()
            server = await stack.enter_async_context(serving(control, tokens(), tls=ground.tls, bind=address))
        else:
            node.offer(control.version, control.artifacts)
            assert (await node.answer("v2", 0)).acceptance is Acceptance.PENDING
        assert await accepted(server, "v2") is Acceptance.NACKED
        assert [await proxy.outcome(it) for it in ("one", "two")] == [REFUSED, PASSED]
        offer(server, control, "v1", "one", target)  # back, without a word to the proxy
        assert await accepted(server, "v1") is Acceptance.ACKED
        assert await proxy.reloads() == {CHAIN: 3, IDLE: 1}  # Envoy counts the two that it refused


@asynchronous
async def test_what_was_refused_is_applied_once_it_can_be(ground: Ground) -> None:
    """The loader is missing at first, though the proxy says that it is there."""
    modules = ground.folder / "modules"
    modules.mkdir()
    control = Control("v1", artifacts("one", NATIVE))
    async with (
        serving(control, tokens(), tls=ground.tls) as server,
        envoy(ground, replace(ground.pod(server.address), modules=modules)) as proxy,
    ):
        assert await accepted(server, "v1") is Acceptance.NACKED
        assert await proxy.outcome("hello") == DENIED
        shutil.copy(loader_library(), modules)
        offer(server, control, "v1", "one", NATIVE)
        assert await accepted(server, "v1") is Acceptance.ACKED
        assert [await proxy.outcome(it) for it in ("one", "two")] == [REFUSED, PASSED]


@pytest.mark.parametrize("by_token", [True, False], ids=["google-grpc", "envoy-grpc"])
@asynchronous
async def test_a_control_plane_goes_and_comes_back(ground: Ground, *, by_token: bool) -> None:
    control, tls = Control("v1", artifacts("one", WASM)), ground.tls if by_token else ground.mutual
    async with serving(control, tokens(), tls=tls) as server:
        address = server.address
        pod = ground.pod(address) if by_token else ground.pod_with_certificate(address, SPIFFE)
        proxy = await (stack := contextlib.AsyncExitStack()).enter_async_context(envoy(ground, pod))
        assert await accepted(server, "v1") is Acceptance.ACKED
    async with stack:
        assert [await proxy.outcome(it) for it in ("one", "two")] == [REFUSED, PASSED]
        async with serving(control, tokens(), tls=tls, bind=address) as server:
            assert await accepted(server, "v1") is Acceptance.ACKED
            assert await proxy.reloads() == {CHAIN: 1, IDLE: 1}  # what it has is not sent again
            offer(server, control, "v2", "two", WASM)
            assert await accepted(server, "v2") is Acceptance.ACKED
            assert [await proxy.outcome(it) for it in ("one", "two")] == [PASSED, REFUSED]


@pytest.mark.parametrize("by_token", [True, False], ids=["google-grpc", "envoy-grpc"])
@asynchronous
async def test_connections_are_made_anew_after_a_while_and_nobody_notices(ground: Ground, *, by_token: bool) -> None:
    control, tls = Control("v1", artifacts("one", WASM)), ground.tls if by_token else ground.mutual
    opened = list[str]()
    async with serving(control, tokens(), tls=tls, identity_seconds=1.0, linger=60) as server:
        serve = server._recognised

        async def noted(context: Any, host: str) -> Any:
            opened.append(context.peer())
            return await serve(context, host)

        server._recognised = noted
        pod = ground.pod(server.address) if by_token else ground.pod_with_certificate(server.address, SPIFFE)
        async with envoy(ground, pod) as proxy:
            assert await accepted(server, "v1") is Acceptance.ACKED
            (node,) = server.nodes(GROUP.name)
            await eventually(lambda: len(set(opened)) > 3 and node.running, 30)
            assert (await node.answer("v1", 10)).acceptance is Acceptance.ACKED
            assert await proxy.reloads() == {CHAIN: 1, IDLE: 1}
            assert await proxy.outcome("one") == REFUSED
            assert control.events == [f"+{node.name}"]


@asynchronous
async def test_a_token_of_another_account_gets_nothing_until_there_is_a_group_for_it(ground: Ground) -> None:
    ground.token.write_text("other")
    control = Control("v1", artifacts("one", WASM))
    async with (
        serving(control, tokens(), tls=ground.tls) as server,
        envoy(ground, replace(ground.pod(server.address), account="other")) as proxy,
    ):
        await eventually(lambda: len(server.strangers()) == 2)
        assert {it.reason for it in server.strangers()} == {
            "the proxies of default/echo/server run as echo-server, not as other"
        }
        assert [it.chain for it in server.strangers()] == [IDLE, CHAIN]
        assert await proxy.outcome("hello") == DENIED
        assert control.events == []
        server.expect([replace(GROUP, accounts=frozenset({"other"}))])
        assert await accepted(server, "v1") is Acceptance.ACKED
        assert [await proxy.outcome(it) for it in ("one", "two")] == [REFUSED, PASSED]
        assert server.strangers() == []


@asynchronous
async def test_a_wrong_token_gets_nothing_and_a_right_one_that_follows_everything(ground: Ground) -> None:
    ground.token.write_text("wrong")
    control, known = Control("v1", artifacts("one", WASM)), tokens()
    async with (
        serving(control, known, tls=ground.tls) as server,
        envoy(ground, ground.pod(server.address)) as proxy,
    ):
        assert await proxy.outcome("hello") == DENIED
        assert (set(known.asked), control.events, server.strangers()) == ({"wrong"}, [], [])
        ground.token.write_text("good")
        await eventually(lambda: bool(server.nodes(GROUP.name)), 30)
        assert await accepted(server, "v1") is Acceptance.ACKED
        assert await proxy.outcome("one") == REFUSED


@pytest.mark.parametrize("uri", [SPIFFE + "s", "spiffe://cluster.local/ns/other/sa/echo-server", ""])
@asynchronous
async def test_a_certificate_of_another_account_gets_nothing(ground: Ground, uri: str) -> None:
    control = Control("v1", artifacts("one", WASM))
    async with (
        serving(control, tokens(), tls=ground.mutual) as server,
        envoy(ground, ground.pod_with_certificate(server.address, uri)) as proxy,
    ):
        assert await proxy.outcome("hello") == DENIED
        assert control.events == []
        assert {it.reason for it in server.strangers()} == (
            {"it says that it is of the service account 'echo-server', but has proved 'other'"}
            if uri == SPIFFE + "s"
            else set()
        )


@pytest.mark.parametrize(
    ("loader", "why"),
    [
        ("", "AppNet's loader is not in its pod"),
        ("feed", "the pod has the loader 'feed', but native code needs 'WANTED'"),
    ],
)
@asynchronous
async def test_a_proxy_without_the_loader_gets_wasm(ground: Ground, loader: str, why: str) -> None:
    control = Control("v1", artifacts("one", NATIVE, WASM))
    async with (
        serving(control, tokens(), tls=ground.tls, loader="WANTED") as server,
        envoy(ground, replace(ground.pod(server.address), loader=loader)) as proxy,
    ):
        assert await accepted(server, "v1") is Acceptance.ACKED
        (node,) = server.nodes(GROUP.name)
        assert (node.target, node.why) == (WASM, why)
        assert await proxy.outcome("one") == REFUSED
        offer(server, control, "v2", "two", NATIVE)
        answer = await node.answer("v2", 10)
        assert answer.acceptance is Acceptance.NACKED
        assert answer.error == f"{CHAIN} was built as native, but this proxy loads wasm ({why})"
        assert [await proxy.outcome(it) for it in ("one", "two")] == [REFUSED, PASSED]


@asynchronous
async def test_a_proxy_of_a_group_that_is_gone_keeps_what_it_runs(ground: Ground) -> None:
    control = Control("v1", artifacts("one", WASM))
    async with serving(control, tokens(), tls=ground.tls) as server, envoy(ground, ground.pod(server.address)) as proxy:
        assert await accepted(server, "v1") is Acceptance.ACKED
        (node,) = server.nodes(GROUP.name)
        server.expect([])
        assert (server.nodes(GROUP.name), node.running) == ([], False)
        assert control.events[-1] == f"-{node.name}"
        node.offer("v2", artifacts("two", WASM))
        await asyncio.sleep(0.3)
        assert (await node.answer("v2", 0)).acceptance is Acceptance.PENDING
        assert [await proxy.outcome(it) for it in ("one", "two")] == [REFUSED, PASSED]
        assert {it.reason for it in server.strangers()} == {"nothing in the namespace default has this filter"}


@asynchronous
async def test_the_processor_delivers(ground: Ground) -> None:
    control, it = Control("v1", artifacts("one", NATIVE, WASM)), processor("sidecar")
    given = ground.tls, tokens(), control.arrived, control.left, KEY
    async with it.mesh().delivery(Serving(ANY_LOCAL_PORT, *given)) as delivery:
        delivery.expect([GROUP])
        async with envoy(ground, ground.pod(delivery.address)) as proxy:
            (node,) = delivery.nodes(GROUP.name)
            assert (await node.answer("v1", 10)).acceptance is Acceptance.ACKED
            assert [await proxy.outcome(body) for body in ("one", "two")] == [REFUSED, PASSED]
        with pytest.raises(OSError, match="cannot listen on"):
            async with it.mesh().delivery(Serving(delivery.address, *given)):
                pass
