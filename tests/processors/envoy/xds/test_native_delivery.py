"""Native chains travel inside the loader's configuration; Envoy never sees them on a disk."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleFilter
from google.protobuf.wrappers_pb2 import BytesValue

from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.processor import Acceptance
from tests.processors.envoy.xds.test_live_upgrade import SWAPS, stamp_server, swap_under_load
from tests.support.asynchronous import asynchronous
from tests.support.proxies import bench, options
from tests.support.tiny_modules import STAMP, stamping_native, stamping_wasm


def native(version: str, module: bytes | None = None) -> TypedExtensionConfig:
    loader = loader_library().stem.removeprefix("lib")
    code = stamping_native(version) if module is None else module
    return native_filter("appnet", code, options(version), loader)


def damaged(version: str, at: int) -> TypedExtensionConfig:
    """As `native`, with one bit of the payload's byte `at` turned."""
    config = native(version)
    filter_config = DynamicModuleFilter.FromString(config.typed_config.value)
    value = BytesValue()
    filter_config.filter_config.Unpack(value)
    payload = bytearray(value.value)
    payload[at] ^= 1
    filter_config.filter_config.Pack(BytesValue(value=bytes(payload)))
    config.typed_config.Pack(filter_config)
    return config


def cut_short(version: str, part: float) -> TypedExtensionConfig:
    """As `native`, with only this part of the module, whose hash is right."""
    module = stamping_native(version)
    return native(version, module[: int(len(module) * part)])


@asynchronous
async def test_native_versions_swap_under_load_without_loss(tmp_path: Path) -> None:
    async with stamp_server() as upstream, bench(tmp_path, ["appnet"], module_path=loader_library().parent) as b:
        judged = await swap_under_load(b, upstream, native)
        assert set(judged) == set(map(str, range(SWAPS + 1)))
        stats = await b.envoy.admin.stats("ingress.*(rq_[45]xx|reset)")
        assert {name: count for name, count in stats.items() if count} == {}


@pytest.mark.parametrize(
    "bad",
    [
        lambda: native("bad", b""),
        lambda: native("bad", b"no shared object"),
        lambda: native("bad", stamping_native("bad", abi="99")),
        lambda: cut_short("bad", 0.5),
        lambda: cut_short("bad", 0.999),
        lambda: damaged("bad", 0),  # not the magic
        lambda: damaged("bad", 8),  # another length of the options
        lambda: damaged("bad", -1),  # not the code that was hashed
    ],
    ids=["empty", "no-elf", "other-abi", "half", "tail", "magic", "length", "hash"],
)
@asynchronous
async def test_what_the_loader_refuses_leaves_the_old_version_running(tmp_path: Path, bad: object) -> None:
    async with bench(tmp_path, ["appnet"], module_path=loader_library().parent) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1", native("one")))
        await b.envoy.ready()
        b.xds.set_snapshot(b.node, b.snapshot("v2", bad()))  # type: ignore[operator]
        delivery = (await b.xds.wait("v2", [b.node], 10))[b.node]
        assert delivery.acceptance is Acceptance.NACKED
        assert delivery.error
        await b.call()
        b.xds.set_snapshot(b.node, b.snapshot("v3", native("three")))
        assert (await b.xds.wait("v3", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.call()
        assert [it.header(STAMP) for it in b.server.seen] == ["one", "three"]


@asynchronous
async def test_a_proxy_goes_from_native_to_wasm_and_back(tmp_path: Path) -> None:
    async with bench(tmp_path, ["appnet"], module_path=loader_library().parent) as b:
        versions = [native("one"), wasm_filter("appnet", stamping_wasm("two"), options("two")), native("three")]
        b.xds.set_snapshot(b.node, b.snapshot("v0", versions[0]))
        await b.envoy.ready()
        await b.call()
        for number, config in enumerate(versions[1:], 1):
            b.xds.set_snapshot(b.node, b.snapshot(f"v{number}", config))
            assert (await b.xds.wait(f"v{number}", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
            await b.call()
        assert [it.header(STAMP) for it in b.server.seen] == ["one", "two", "three"]


@pytest.mark.parametrize("restarted", [False, True], ids=["same-controller", "new-controller"])
@asynchronous
async def test_what_was_refused_and_is_offered_again_is_applied(tmp_path: Path, *, restarted: bool) -> None:
    """The loader is missing at first; Envoy would acknowledge equal bytes, and pass or fail every call all the same."""
    modules = tmp_path / "modules"
    modules.mkdir()
    async with bench(tmp_path / "envoy", ["appnet"], module_path=modules) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1", native("one")))
        assert (await b.xds.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.NACKED
        shutil.copy(loader_library(), modules)
        async with contextlib.AsyncExitStack() as stack:
            if restarted:
                await b.xds.stop()
                b.xds = await stack.enter_async_context(XdsServer(b.xds.address))
            b.xds.set_snapshot(b.node, b.snapshot("v1", native("one")))
            assert (await b.xds.wait("v1", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
            await b.call()
            assert [it.header(STAMP) for it in b.server.seen] == ["one"]
