"""Compiled chains as filter configurations: the payload format that the loader and the wasm host read."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleFilter
from envoy.extensions.filters.http.wasm.v3.wasm_pb2 import Wasm
from envoy.extensions.wasm.v3.wasm_pb2 import FailurePolicy

from appnet.observe.otlp import Resource
from appnet.processors.envoy.filters import FILTER_TYPES, native_filter, wasm_filter
from appnet.processors.envoy.sealed import opened
from appnet.processors.options import ChainOptions
from appnet.processors.signing import SigningKey

OPTIONS = ChainOptions("echo", "node-1", "v7", max_message=1000, backend_count=3, seed=2**63 + 1, traces=0.25)


def test_options_are_little_endian_numbers_and_a_resource() -> None:
    encoded = OPTIONS.encode()
    head = struct.calcsize("<IQIIII")
    assert head == 28
    version, seed, *numbers, size = struct.unpack("<IQIIII", encoded[:head])
    assert (version, seed, numbers, size) == (2, 2**63 + 1, [1000, 3, 1 << 30], len(encoded) - head)
    resource = Resource.FromString(encoded[head:])
    assert {pair.key: pair.value.string_value for pair in resource.attributes} == {
        "service.name": "echo",
        "appnet.processor": "node-1",
        "appnet.version": "v7",
    }


def test_a_native_chain_travels_with_a_signature_in_the_loaders_configuration() -> None:
    module, key = b"\x7fELF and so on", SigningKey.generate()
    config = native_filter("appnet", module, OPTIONS, "appnet_loader", key)
    assert (config.name, config.typed_config.type_url) == ("appnet", FILTER_TYPES[0])
    native = DynamicModuleFilter.FromString(config.typed_config.value)
    assert native.dynamic_module_config.name == "appnet_loader"
    assert native.dynamic_module_config.do_not_close
    payload = opened(native.filter_config)
    magic, signature, content = payload[:8], payload[8:72], payload[72:]
    options = OPTIONS.encode()
    assert (magic, content) == (b"APPNETM4", struct.pack("<I", len(options)) + options + bytes(4) + module)
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public_text))
    public.verify(signature, b"AppNet native module, payload 4\n" + struct.pack("<I", 6) + b"appnet" + content)


def test_a_wasm_chain_is_inline_fails_closed_and_may_hold_headers() -> None:
    wasm = Wasm.FromString(wasm_filter("appnet", b"\0asm", OPTIONS).typed_config.value)
    assert wasm.config.vm_config.code.local.inline_bytes == b"\0asm"
    assert wasm.config.vm_config.runtime == "envoy.wasm.runtime.v8"
    assert wasm.config.failure_policy == FailurePolicy.FAIL_CLOSED
    assert not wasm.config.fail_open
    assert wasm.config.allow_on_headers_stop_iteration.value
    assert opened(wasm.config.configuration) == OPTIONS.encode()


def test_each_version_gets_a_machine_of_its_own_and_shares_data_with_the_others() -> None:
    def machine(name: str, module: bytes, version: str) -> tuple[str, bytes, bytes]:
        config = wasm_filter(name, module, ChainOptions("echo", "node-1", version))
        found = Wasm.FromString(config.typed_config.value).config.vm_config
        return found.vm_id, found.configuration.value, found.code.local.inline_bytes

    versions = [machine("a", b"1", "v1"), machine("a", b"2", "v1"), machine("a", b"1", "v2"), machine("b", b"1", "v1")]
    assert versions[0] == machine("a", b"1", "v1")
    assert len(set(versions)) == 4
    assert [vm_id for vm_id, *_ in versions] == ["a", "a", "a", "b"]
