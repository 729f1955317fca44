"""Why the controller never sends code by reference: what Envoy does with it, and that ours refuses to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleFilter
from envoy.extensions.filters.http.wasm.v3.wasm_pb2 import Wasm

from appnet.processors.envoy.filters import RemoteCodeError, native_filter, refuse_remote_code, wasm_filter
from appnet.processors.envoy.xds import snapshot
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.processor import Acceptance
from tests.support.asynchronous import asynchronous
from tests.support.proxies import KEY, bench, options
from tests.support.tiny_modules import STAMP, stamping_wasm


def remote_wasm(module: bytes) -> TypedExtensionConfig:
    """As `wasm_filter`, but the proxy shall fetch the code."""
    config = wasm_filter("appnet", module, options("v2"))
    wasm = Wasm.FromString(config.typed_config.value)
    remote = wasm.config.vm_config.code.remote
    remote.http_uri.uri = "http://code.invalid/module.wasm"
    remote.http_uri.cluster = "ingress-upstream"
    remote.http_uri.timeout.FromSeconds(1)
    remote.sha256 = hashlib.sha256(module).hexdigest()
    config.typed_config.Pack(wasm)
    return config


def remote_native() -> TypedExtensionConfig:
    config = native_filter("appnet", b"", options("v2"), "loader", KEY)
    native = DynamicModuleFilter.FromString(config.typed_config.value)
    native.dynamic_module_config.Clear()
    # DynamicModuleConfig.module.remote of Envoy 1.40, as bytes: our message class is older.
    native.dynamic_module_config.MergeFromString(b"\x2a\x02\x12\x00")
    config.typed_config.Pack(native)
    return config


@asynchronous
async def test_envoy_reports_success_and_lets_calls_pass_unjudged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should this fail one day, Envoy has mended it; the guard may stay all the same."""
    async with bench(tmp_path, ["appnet"]) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1", wasm_filter("appnet", stamping_wasm("one"), options("v1"))))
        await b.envoy.ready()
        await b.call()
        monkeypatch.setattr(snapshot, "refuse_remote_code", lambda _config: None)
        b.xds.set_snapshot(b.node, b.snapshot("v2", remote_wasm(stamping_wasm("two"))))
        assert (await b.xds.wait("v2", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        assert (await b.call()).grpc_status == 0
        assert [it.header(STAMP) for it in b.server.seen] == ["one", None]
        fetched = [it for it in b.server.seen if it.header(":path") == "/module.wasm"]
        assert fetched == []


@pytest.mark.parametrize("config", [remote_wasm(b"code"), remote_native()], ids=["wasm", "native"])
@asynchronous
async def test_the_controller_refuses_to_send_it(config: TypedExtensionConfig) -> None:
    with pytest.raises(RemoteCodeError, match="'appnet'"):
        XdsServer().set_snapshot("node", Snapshot("v1", (config,)))


def test_our_own_filters_carry_their_code() -> None:
    for config in (wasm_filter("a", b"code", options("v1")), native_filter("a", b"code", options("v1"), "loader", KEY)):
        refuse_remote_code(config)
        assert b"code" in config.typed_config.value
