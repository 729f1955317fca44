"""Versions change, proxies and controllers come and go, and calls keep passing."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.envoy.xds.state import StreamState, TypeAnswer
from appnet.processors.processor import Acceptance
from appnet.system.address import Address
from tests.support.asynchronous import asynchronous, eventually
from tests.support.proxies import LISTENER, PATH, Bench, bench, options
from tests.support.raw_grpc import RecordingServer
from tests.support.tiny_modules import STAMP, stamping_wasm

SWAPS = 10


def wasm(version: str) -> TypedExtensionConfig:
    return wasm_filter("appnet", stamping_wasm(version), options(version))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[TypeAnswer]:
    """What proxies answer, as it comes."""
    found: list[TypeAnswer] = []
    receive = StreamState.receive

    def noted(stream: StreamState, request: DiscoveryRequest) -> TypeAnswer | None:
        answer = receive(stream, request)
        if answer is not None:
            found.append(answer)
        return answer

    monkeypatch.setattr(StreamState, "receive", noted)
    return found


@contextlib.asynccontextmanager
async def stamp_server() -> AsyncIterator[Address]:
    """Answers each call with the stamp on it."""

    async def answer(_request: bytes, context: Any) -> bytes:
        return str(dict(context.invocation_metadata()).get(STAMP)).encode()

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.EchoService", {"echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Address("127.0.0.1", port)
    finally:
        await server.stop(None)


async def swap_under_load(b: Bench, upstream: Address, build: Callable[[str], TypedExtensionConfig]) -> Counter[str]:
    """Swaps versions while calls run; returns how many calls each version judged. Any failed call raises."""
    sidecar = Sidecar(LISTENER, b.filters, [upstream])

    def give(version: str) -> None:
        b.xds.set_snapshot(b.node, Snapshot(version, (*sidecar_resources(sidecar), build(version))))

    give("0")
    await b.envoy.ready()
    judged: Counter[str] = Counter()
    done = asyncio.Event()

    async def caller(call: Any) -> None:
        while not done.is_set():
            judged[(await call(b"", timeout=10)).decode()] += 1

    async with grpc.aio.insecure_channel(str(await b.envoy.listener_address(LISTENER))) as channel:
        callers = [asyncio.create_task(caller(channel.unary_unary(PATH))) for _ in range(16)]
        for version in map(str, range(1, SWAPS + 1)):
            await eventually(lambda: judged[str(int(version) - 1)] > 20)  # noqa: B023
            give(version)
            assert (await b.xds.wait(version, [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await eventually(lambda: judged[str(SWAPS)] > 20)
        done.set()
        await asyncio.gather(*callers)
    return judged


@asynchronous
async def test_wasm_versions_swap_under_load_without_loss(tmp_path: Path) -> None:
    async with stamp_server() as upstream, bench(tmp_path, ["appnet"], workers=2) as b:
        judged = await swap_under_load(b, upstream, wasm)
        assert set(judged) == set(map(str, range(SWAPS + 1)))
        stats = await b.envoy.admin.stats("ingress.*(rq_[45]xx|reset)")
        assert {name: count for name, count in stats.items() if count} == {}


@asynchronous
async def test_filters_run_in_order_and_only_what_changed_is_pushed(tmp_path: Path) -> None:
    names = ["appnet.a", "appnet.b"]
    async with bench(tmp_path, names) as b:
        first, second = (wasm_filter(name, stamping_wasm(name[-1]), options("v1")) for name in names)
        b.xds.set_snapshot(b.node, b.snapshot("v1", second, first))
        assert (await b.xds.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.envoy.ready()
        second = wasm_filter(names[1], stamping_wasm("B"), options("v2"))
        b.xds.set_snapshot(b.node, b.snapshot("v2", second, first))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.call()
        stamps = [value for key, value in b.server.seen[0].headers if key == STAMP]
        assert stamps == ["a", "B"]
        reloads = await b.envoy.admin.stats("extension_config_discovery.*config_reload$")
        assert {name.split("http_filter.")[1]: count for name, count in reloads.items()} == {
            "appnet.a.config_reload": 1,
            "appnet.b.config_reload": 2,
        }


@asynchronous
async def test_the_same_content_as_a_new_version_is_accepted_without_a_push(
    tmp_path: Path, answers: list[TypeAnswer]
) -> None:
    async with bench(tmp_path, ["appnet"]) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1", wasm("one")))
        await b.envoy.ready()
        assert (await b.xds.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        answers.clear()
        b.xds.set_snapshot(b.node, b.snapshot("v2", wasm("one")))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        assert b.xds.answer(b.node, "v1").acceptance is Acceptance.SUPERSEDED
        assert answers == []


@asynchronous
async def test_a_proxy_keeps_its_logic_while_the_controller_is_away(tmp_path: Path) -> None:
    with RecordingServer() as server:
        first = XdsServer()
        await first.start()
        settings = EnvoySettings(Identity("node-1", "echo"), tmp_path, first.address)
        async with EnvoyProcess(settings) as envoy:
            b = Bench(first, server, envoy, ["appnet"])
            first.set_snapshot(b.node, b.snapshot("v1", wasm("one")))
            await envoy.ready()
            port = (await envoy.listener_address(LISTENER)).port
            await first.stop()
            await b.call()
            second = XdsServer(first.address)
            await second.start()
            second.set_snapshot(b.node, b.snapshot("v1", wasm("one")))
            assert (await second.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
            await b.call()
            reloads = await envoy.admin.stats("extension_config_discovery.*config_reload$")
            assert list(reloads.values()) == [1]  # the same version again: its state is left alone
            second.set_snapshot(b.node, b.snapshot("v2", wasm("two")))
            assert (await second.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
            await b.call()
            assert (await envoy.listener_address(LISTENER)).port == port
            assert [it.header(STAMP) for it in server.seen] == ["one", "one", "two"]
            assert second.connected() == {b.node}
        await eventually(lambda: second.connected() == frozenset())
        await second.stop()


@asynchronous
async def test_a_restarted_proxy_gets_the_current_version(tmp_path: Path) -> None:
    with RecordingServer() as server:
        async with XdsServer() as xds:
            for attempt in range(2):
                settings = EnvoySettings(Identity("node-1", "echo"), tmp_path / str(attempt), xds.address)
                async with EnvoyProcess(settings) as envoy:
                    b = Bench(xds, server, envoy, ["appnet"])
                    if attempt == 0:
                        xds.set_snapshot(b.node, b.snapshot("v1", wasm("one")))
                    await envoy.ready()
                    await b.call()
            assert [it.header(STAMP) for it in server.seen] == ["one", "one"]


@asynchronous
async def test_hosts_move_without_a_new_listener(tmp_path: Path, answers: list[TypeAnswer]) -> None:
    with RecordingServer() as other:
        async with bench(tmp_path) as b:
            b.xds.set_snapshot(b.node, b.snapshot("v1"))
            await b.envoy.ready()
            port = (await b.envoy.listener_address(LISTENER)).port
            await b.call()
            answers.clear()
            moved = Sidecar(LISTENER, (), [Address("127.0.0.1", other.port)])
            b.xds.set_snapshot(b.node, Snapshot("v2", tuple(sidecar_resources(moved))))
            assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
            await b.call()
            assert (len(b.server.seen), len(other.seen)) == (1, 1)
            assert [it.type_url.rpartition(".")[2] for it in answers] == ["ClusterLoadAssignment"]
            assert (await b.envoy.listener_address(LISTENER)).port == port


@asynchronous
async def test_a_changed_cluster_and_listener_warm_and_keep_their_port(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1"))
        await b.envoy.ready()
        port = (await b.envoy.listener_address(LISTENER)).port
        wider = Sidecar(LISTENER, ["appnet"], [Address("127.0.0.1", b.server.port)], max_message=8 << 20)
        b.xds.set_snapshot(b.node, Snapshot("v2", (*sidecar_resources(wider), wasm("one"))))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        assert (await b.envoy.listener_address(LISTENER)).port == port

        async def judged() -> str | None:
            assert (await b.call()).grpc_status == 0
            return b.server.seen[-1].header(STAMP)

        for _ in range(200):
            if await judged() == "one":
                break
        assert await judged() == "one"


@asynchronous
async def test_a_version_that_the_proxy_took_in_part_is_rolled_back_whole(tmp_path: Path) -> None:
    """Envoy keeps the good resources of a response that it refuses for a bad one."""
    names = ["appnet.a", "appnet.b"]
    async with bench(tmp_path, names) as b:
        good = [wasm_filter(name, stamping_wasm(name[-1]), options("v1")) for name in names]
        b.xds.set_snapshot(b.node, b.snapshot("v1", *good))
        await b.envoy.ready()
        bad = [
            wasm_filter(names[0], stamping_wasm("A"), options("v2")),
            wasm_filter(names[1], b"not wasm", options("v2")),
        ]
        b.xds.set_snapshot(b.node, b.snapshot("v2", *bad))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.NACKED
        b.xds.set_snapshot(b.node, b.snapshot("v3", *good))
        assert (await b.xds.wait("v3", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.call()
        assert [value for key, value in b.server.seen[-1].headers if key == STAMP] == ["a", "b"]


@asynchronous
async def test_two_controllers_do_not_share_a_port() -> None:
    async with XdsServer() as first:
        with pytest.raises(OSError, match="cannot listen"):
            await XdsServer(first.address).start()
