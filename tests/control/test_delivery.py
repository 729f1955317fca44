"""What real Envoys do with what the controller sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.control.xds_node import Acceptance
from appnet.processors.envoy.filters import wasm_filter
from tests.support.asynchronous import asynchronous
from tests.support.proxies import LISTENER, bench, options
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
        b.xds.update_extension(b.node, wasm_filter("appnet", stamping_wasm("one"), options("v2")), "v2")
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
            b.xds.update_extension(b.node, wasm_filter("appnet", module, options(version)), version)
            delivery = (await b.xds.wait(version, [b.node], 10))[b.node]
            assert delivery.acceptance is Acceptance.NACKED
            assert "wasm" in delivery.error.lower()
            assert (await b.call()).grpc_status == 0
        b.xds.update_extension(b.node, wasm_filter("appnet", stamping_wasm("four"), options("v4")), "v4")
        assert (await b.xds.wait("v4", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.call()
        assert [it.header(STAMP) for it in b.server.seen] == ["one", "one", "four"]
