"""Compiled chains as Envoy filter configurations: the code travels inside.

Only inline code is ever sent. Envoy 1.40 never fetches remote code (``code.remote`` of a wasm plugin,
``module.remote`` of a dynamic module) that arrives by ECDS after its start: it reports success and lets all traffic
pass unjudged. ``refuse_remote_code`` keeps such a configuration from leaving the controller, whoever built it.
"""

from __future__ import annotations

import hashlib
import struct

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleFilter
from envoy.extensions.filters.http.wasm.v3.wasm_pb2 import Wasm
from envoy.extensions.wasm.v3.wasm_pb2 import FailurePolicy
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.unknown_fields import UnknownFieldSet
from google.protobuf.wrappers_pb2 import BytesValue

from appnet.processors.artifact import Artifact
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.sealed import sealed
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.options import ChainOptions
from appnet.processors.signing import SigningKey

WASM_TYPE = f"type.googleapis.com/{Wasm.DESCRIPTOR.full_name}"
NATIVE_TYPE = f"type.googleapis.com/{DynamicModuleFilter.DESCRIPTOR.full_name}"
FILTER_TYPES = (NATIVE_TYPE, WASM_TYPE)
"""Type URLs of the filters that chains may come as."""

PAYLOAD_MAGIC = b"APPNETM4"
PAYLOAD_DOMAIN = b"AppNet native module, payload 4\n"
"""What every signed text begins with, so that a signature of anything else is none of a module."""


class RemoteCodeError(ValueError):
    """A filter configuration names code that the proxy would have to fetch."""


def native_filter(
    name: str, module: bytes, options: ChainOptions, loader: str, key: SigningKey
) -> TypedExtensionConfig:
    """The filter ``name`` running the shared object ``module`` through the dynamic module ``loader``.

    ``loader`` is a library name that the proxy finds as ``libLOADER.so`` on its module search path. It opens what is
    signed by a ``key`` that the proxy trusts, for this filter and with these options. ``name`` has no space.
    """
    encoded = options.encode()
    state = options.store.encode() if options.store is not None else b""
    content = b"".join((struct.pack("<I", len(encoded)), encoded, struct.pack("<I", len(state)), state, module))
    payload = b"".join((PAYLOAD_MAGIC, key.sign(_signed_text(name.encode(), content)), content))
    dynamic = DynamicModuleFilter(filter_name=name)
    dynamic.dynamic_module_config.name = loader
    dynamic.dynamic_module_config.do_not_close = True  # a closed loader could still have calls on its stack
    dynamic.filter_config.CopyFrom(sealed(payload))
    config = TypedExtensionConfig(name=name)
    config.typed_config.Pack(dynamic)
    return config


def _signed_text(name: bytes, content: bytes) -> bytes:
    """What is signed: payload.h has its form, too."""
    return b"".join((PAYLOAD_DOMAIN, struct.pack("<I", len(name)), name, content))


def wasm_filter(name: str, module: bytes, options: ChainOptions) -> TypedExtensionConfig:
    """The filter ``name`` running the proxy-wasm ``module`` in V8; a module that fails fails closed."""
    wasm = Wasm()
    wasm.config.name = name
    encoded = options.encode()
    if options.store is not None and options.gateway:
        encoded += options.store.encode_pass(options.gateway)
    wasm.config.configuration.CopyFrom(sealed(encoded))
    wasm.config.failure_policy = FailurePolicy.FAIL_CLOSED
    wasm.config.allow_on_headers_stop_iteration.value = True
    machine = wasm.config.vm_config
    # Machines of one id share data, by which versions hand over their state. The machine itself is shared by plugins of
    # equal id, code and configuration; each version gets its own.
    machine.vm_id = name
    machine.configuration.Pack(BytesValue(value=hashlib.sha256(encoded).digest()))
    machine.runtime = "envoy.wasm.runtime.v8"
    machine.code.local.inline_bytes = module
    config = TypedExtensionConfig(name=name)
    config.typed_config.Pack(wasm)
    return config


def chain_filter(artifact: Artifact, options: ChainOptions, key: SigningKey | None) -> TypedExtensionConfig:
    """The filter that runs the artifact: its code travels inside, signed if it is native.

    For wasm there need not be a key.
    """
    if artifact.segment.place.target == NATIVE:
        assert key is not None
        loader = loader_library().stem.removeprefix("lib")
        return native_filter(artifact.name, artifact.binary, options, loader, key)
    return wasm_filter(artifact.name, artifact.binary, options)


def marked(packed: AnyMessage, mark: str) -> AnyMessage:
    """A filter configuration that does the same in other bytes: Envoy acknowledges one that equals the last that it
    refused without applying it. ``mark`` has no dot."""
    config = TypedExtensionConfig.FromString(packed.value)
    body = config.typed_config
    if body.type_url == WASM_TYPE:
        wasm, configuration = Wasm.FromString(body.value), BytesValue()
        machine = wasm.config.vm_config
        machine.configuration.Unpack(configuration)
        machine.configuration.Pack(BytesValue(value=configuration.value + mark.encode()))
        body.Pack(wasm)
    elif body.type_url == NATIVE_TYPE:
        native = DynamicModuleFilter.FromString(body.value)
        native.filter_name += f" {mark}"  # the loader reads it up to the space
        body.Pack(native)
    found = AnyMessage()
    found.Pack(config, deterministic=True)
    return found


def refuse_remote_code(config: TypedExtensionConfig) -> None:
    """Raises ``RemoteCodeError`` unless the code of a wasm or native filter is inline or a named library."""
    body = config.typed_config
    if body.type_url == WASM_TYPE:
        wasm = Wasm.FromString(body.value)
        if wasm.config.vm_config.code.WhichOneof("specifier") == "remote":
            raise RemoteCodeError(f"filter {config.name!r}: wasm code by `remote`, which ECDS never fetches")
    elif body.type_url == NATIVE_TYPE:
        native = DynamicModuleFilter.FromString(body.value)
        source = native.dynamic_module_config
        # Envoy 1.40's field for fetched modules is newer than our message class, so it would show as an unknown one.
        if not source.name or len(UnknownFieldSet(source)):
            raise RemoteCodeError(f"filter {config.name!r}: not a module by name alone; ECDS never fetches one")
