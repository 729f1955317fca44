"""The loader's own checks of signatures and payloads, without a proxy."""

from __future__ import annotations

import ctypes
import tempfile
from functools import cache
from pathlib import Path

from appnet.codegen.c.build import RUNTIME, compile_library
from appnet.processors.envoy.native import loader

LOADER = Path(loader.__file__).parent

_CHECKS = """
#include "payload.h"
#include "ed25519.h"

bool signature_holds(const uint8_t *key, const uint8_t *signature, const an_view *parts, size_t count) {
  return ed25519_verify(key, signature, parts, count);
}

bool key_holds(const uint8_t *key) { return ed25519_is_key(key); }

const char *payload_flaw(an_view bytes, an_view name, const char *trusted_keys) {
  payload out;
  return payload_read(bytes, name, trusted_keys, &out);
}
"""


class View(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "checks.c"), Path(folder, "checks.so")
        source.write_text(_CHECKS)
        sources = [source, *loader.PAYLOAD_SOURCES]
        include, objects = [RUNTIME, LOADER], [loader.signature_checks()]
        path.write_bytes(compile_library(sources, include=include, flags=["-fvisibility=default"], objects=objects))
        library = ctypes.CDLL(str(path))
    for name in ("signature_holds", "key_holds"):
        getattr(library, name).restype = ctypes.c_bool
    library.payload_flaw.argtypes, library.payload_flaw.restype = [View, View, ctypes.c_char_p], ctypes.c_char_p
    return library


def is_key(key: bytes) -> bool:
    """Whether the loader takes it for a public key."""
    assert len(key) == 32
    held: bool = _library().key_holds(key)
    return held


def verify(key: bytes, signature: bytes, *parts: bytes) -> bool:
    """Whether the key signed the parts, one behind the other."""
    assert (len(key), len(signature)) == (32, 64)
    views = (View * len(parts))(*(View(it, len(it)) for it in parts))
    held: bool = _library().signature_holds(key, signature, views, ctypes.c_size_t(len(parts)))
    return held


def payload_flaw(payload: bytes, name: str, trusted: str | None) -> str | None:
    """What is wrong with a payload for the filter of this name; ``trusted``: the proxy's variable."""
    encoded = name.encode()
    flaw: bytes | None = _library().payload_flaw(
        View(payload, len(payload)), View(encoded, len(encoded)), None if trusted is None else trusted.encode()
    )
    return None if flaw is None else flaw.decode()
