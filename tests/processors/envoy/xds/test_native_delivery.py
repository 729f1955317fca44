"""Native chains travel inside the loader's configuration; Envoy never sees them on a disk."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleFilter

from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.native.loader import MODULES, loader_library
from appnet.processors.envoy.sealed import opened, sealed
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.processor import Acceptance
from appnet.processors.signing import TRUSTED_KEYS, SigningKey
from tests.processors.envoy.xds.test_live_upgrade import SWAPS, stamp_server, swap_under_load
from tests.support.asynchronous import asynchronous
from tests.support.proxies import KEY, TRUSTING, bench, options, signed_filter
from tests.support.tiny_modules import STAMP, opening_native, stamping_native, stamping_wasm


def native(version: str, module: bytes | None = None) -> TypedExtensionConfig:
    code = stamping_native(version) if module is None else module
    return signed_filter("appnet", code, options(version))


def payload_of(config: TypedExtensionConfig) -> bytes:
    return opened(DynamicModuleFilter.FromString(config.typed_config.value).filter_config)


def with_payload(version: str, payload: bytes) -> TypedExtensionConfig:
    """As `native`, with another payload."""
    config = native(version)
    filter_config = DynamicModuleFilter.FromString(config.typed_config.value)
    filter_config.filter_config.CopyFrom(sealed(payload))
    config.typed_config.Pack(filter_config)
    return config


def damaged(version: str, at: int) -> TypedExtensionConfig:
    """As `native`, with one bit of the payload's byte `at` turned."""
    payload = bytearray(payload_of(native(version)))
    payload[at] ^= 1
    return with_payload(version, bytes(payload))


def cut_short(version: str, part: float) -> TypedExtensionConfig:
    """As `native`, with only this part of the module, rightly signed."""
    module = stamping_native(version)
    return native(version, module[: int(len(module) * part)])


@asynchronous
async def test_native_versions_swap_under_load_without_loss(tmp_path: Path) -> None:
    async with stamp_server() as upstream, bench(tmp_path, ["appnet"]) as b:
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
        lambda: damaged("bad", 8),  # another signature
        lambda: damaged("bad", 72),  # another length of the options
        lambda: damaged("bad", -1),  # not the code that was signed
    ],
    ids=["empty", "no-elf", "other-abi", "half", "tail", "magic", "signature", "length", "code"],
)
@asynchronous
async def test_what_the_loader_refuses_leaves_the_old_version_running(tmp_path: Path, bad: object) -> None:
    async with bench(tmp_path, ["appnet"]) as b:
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


STRANGER = SigningKey.generate()
TWO_KEYS = f"{STRANGER.public_text},{KEY.public_text}"


@pytest.mark.parametrize(
    ("trusted", "name", "key", "reason"),
    [
        (KEY.public_text, "appnet", STRANGER, "the chain is signed by none of the keys in APPNET_TRUSTED_KEYS"),
        (KEY.public_text, "appnet.other", KEY, "the chain is signed by none of the keys in APPNET_TRUSTED_KEYS"),
        (None, "appnet", KEY, "no module is trusted here: start the proxy with the public key of its control plane"),
        (f"{TWO_KEYS},", "appnet", KEY, "no module is trusted here: APPNET_TRUSTED_KEYS needs public keys of Ed25519"),
    ],
    ids=["stranger", "other-filter", "nobody", "malformed"],
)
@asynchronous
async def test_what_a_proxy_does_not_trust_never_runs(
    tmp_path: Path, trusted: str | None, name: str, key: SigningKey, reason: str
) -> None:
    """It leaves its mark when it is opened, before anything of it is called."""
    opened = tmp_path / "opened"
    module = opening_native(str(opened))
    environment = {**TRUSTING, TRUSTED_KEYS: trusted} if trusted is not None else {MODULES: TRUSTING[MODULES]}
    config = TypedExtensionConfig.FromString(signed_filter(name, module, options("1"), key).SerializeToString())
    filter_config = DynamicModuleFilter.FromString(config.typed_config.value)
    filter_config.filter_name = config.name = "appnet"
    config.typed_config.Pack(filter_config)
    async with bench(tmp_path / "envoy", ["appnet"], environment=environment) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v1", config))
        delivery = (await b.xds.wait("v1", [b.node], 10))[b.node]
        assert delivery.acceptance is Acceptance.NACKED
        assert f"appnet: filter appnet: {reason}" in b.envoy.log_tail()
        assert not opened.exists()


@asynchronous
async def test_one_of_two_keys_will_do_so_that_they_can_change(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    async with bench(tmp_path / "envoy", ["appnet"], environment={**TRUSTING, TRUSTED_KEYS: TWO_KEYS}) as b:
        for number, key in enumerate((KEY, STRANGER)):
            module = opening_native(f"{opened}-{number}")
            b.xds.set_snapshot(b.node, b.snapshot(f"v{number}", signed_filter("appnet", module, options("1"), key)))
            assert (await b.xds.wait(f"v{number}", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
            assert Path(f"{opened}-{number}").exists()


@asynchronous
async def test_a_proxy_lives_through_hostile_payloads(tmp_path: Path) -> None:
    """A hundred are refused; its memory does not grow with them, and a version that is right comes through."""
    async with bench(tmp_path, ["appnet"]) as b:
        b.xds.set_snapshot(b.node, b.snapshot("v", native("one")))
        await b.envoy.ready()
        size = len(payload_of(native("bad")))
        hostile = [damaged("bad", at) for at in range(0, size, size // 50)]
        hostile += [with_payload("bad", payload_of(native("bad"))[:at]) for at in range(0, size, size // 50)]
        before = resident_kilobytes(b.envoy.pid)
        for number, config in enumerate(hostile):
            b.xds.set_snapshot(b.node, b.snapshot(f"v{number}", config))
            assert (await b.xds.wait(f"v{number}", [b.node], 10))[b.node].acceptance is Acceptance.NACKED
        assert resident_kilobytes(b.envoy.pid) < before + 32 * 1024
        await b.call()
        b.xds.set_snapshot(b.node, b.snapshot("good", native("two")))
        assert (await b.xds.wait("good", [b.node], 10))[b.node].acceptance is Acceptance.ACKED
        await b.call()
        assert [it.header(STAMP) for it in b.server.seen] == ["one", "two"]


def resident_kilobytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


@asynchronous
async def test_a_proxy_goes_from_native_to_wasm_and_back(tmp_path: Path) -> None:
    async with bench(tmp_path, ["appnet"]) as b:
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
    async with bench(tmp_path / "envoy", ["appnet"], environment={**TRUSTING, MODULES: str(modules)}) as b:
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
