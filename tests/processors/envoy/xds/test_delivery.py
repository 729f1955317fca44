"""What real Envoys do with what the controller sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from appnet.application.model import DEFAULT_MAX_MESSAGE
from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.processor import Acceptance
from tests.support.asynchronous import asynchronous
from tests.support.proxies import LISTENER, bench, options
from tests.support.raw_grpc import frame
from tests.support.tiny_modules import STAMP, stamping_wasm


@asynchronous
async def test_a_proxy_without_filters_passes_calls_and_its_port_is_read_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1"))
        await b.envoy.ready()
        assert (await b.xds.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        assert (await b.envoy.admin.listeners())[LISTENER].port > 0
        assert (await b.call()).grpc_status == 0
        assert len(b.server.seen) == 1


@asynchronous
async def test_nothing_passes_before_the_first_version(tmp_path: Path) -> None:
    async with bench(tmp_path, ["appnet"]) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1"))
        delivered = await b.xds.wait("v1", [b.node], 1.0)
        assert delivered[b.node].acceptance is Acceptance.ACKED  # listener and cluster are, the filter is not
        assert not await b.envoy.admin.is_live()
        with pytest.raises(ConnectionRefusedError):
            await b.call()
        assert b.server.seen == []
        b.xds.set_snapshot(b.node, b.snapshot("v2", wasm_filter("appnet", stamping_wasm("one"), options("v2"))))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.envoy.ready()
        assert (await b.call()).grpc_status == 0
        assert [it.header(STAMP) for it in b.server.seen] == ["one"]


@asynchronous
async def test_a_refused_version_leaves_the_old_one_running(tmp_path: Path) -> None:
    async with bench(tmp_path, ["appnet"]) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1", wasm_filter("appnet", stamping_wasm("one"), options("v1"))))
        await b.envoy.ready()
        for version, module in [("v2", b"not wasm at all"), ("v3", stamping_wasm("three", accepts=False))]:
            b.xds.set_snapshot(b.node, b.snapshot(version, wasm_filter("appnet", module, options(version))))
            delivery = (await b.xds.wait(version, [b.node], 10))[b.node]
            assert delivery.acceptance is Acceptance.NACKED
            assert "wasm" in delivery.error.lower()
            assert (await b.call()).grpc_status == 0
        b.xds.set_snapshot(b.node, b.snapshot("v4", wasm_filter("appnet", stamping_wasm("four"), options("v4"))))
        assert (await b.xds.wait("v4", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.call()
        assert [it.header(STAMP) for it in b.server.seen] == ["one", "one", "four"]


@asynchronous
async def test_a_proxy_whose_first_version_is_refused_passes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, ["appnet"]) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1", wasm_filter("appnet", b"not wasm at all", options("v1"))))
        assert (await b.xds.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.NACKED
        await b.envoy.ready()  # Envoy opens the listener all the same
        reply = await b.call()
        assert reply.grpc_status not in (0, None)
        assert b.server.seen == []
        b.xds.set_snapshot(b.node, b.snapshot("v2", wasm_filter("appnet", stamping_wasm("two"), options("v2"))))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        assert (await b.call()).grpc_status == 0
        assert [it.header(STAMP) for it in b.server.seen] == ["two"]


@asynchronous
async def test_new_routes_hold_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        *others, routes = b.snapshot("v1").resources
        assert isinstance(routes, RouteConfiguration)
        b.xds.set_snapshot(b.node, Snapshot("v1", (*others, routes)))
        await b.envoy.ready()
        assert (await b.xds.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        assert (await b.call()).grpc_status == 0
        del routes.virtual_hosts[:]
        b.xds.set_snapshot(b.node, Snapshot("v2", (*others, routes)))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        assert (await b.call()).grpc_status == 12  # UNIMPLEMENTED: no route
        assert len(b.server.seen) == 1


@asynchronous
async def test_a_message_of_the_longest_size_passes_as_it_is(tmp_path: Path) -> None:
    message = frame(bytes(range(256)) * (DEFAULT_MAX_MESSAGE // 256))
    async with bench(tmp_path) as b:
        b.server.reply = message
        b.xds.set_snapshot(b.node, b.snapshot("v1"))
        await b.envoy.ready()
        reply = await b.call(body=message)
        assert reply.body == message
        assert b.server.seen[0].body == message
