"""What Envoy loads: a chain as a shared library for the loader, or as a proxy-wasm module."""

from __future__ import annotations

from pathlib import Path

from appnet.codegen.c import build as c
from appnet.codegen.c.build import RUNTIME, Host
from appnet.processors.envoy.targets import NATIVE, WASM

_HERE = Path(__file__).parent
HTTP = _HERE / "http"
"""The C files of calls as HTTP events, which both hosts share."""

_NATIVE, _WASM = _HERE / "native", _HERE / "wasm"
_CALLS = (
    HTTP / "http_call.c",
    HTTP / "http_deadline.c",
    HTTP / "http_message.c",
    HTTP / "http_status.c",
    HTTP / "inflate.c",
)

HOSTS = {
    NATIVE: c.shared_object(
        "native",
        sources=(RUNTIME / "hosted.c", *_CALLS),
        exports=(RUNTIME / "chain_table.c", _NATIVE / "host_module.c"),
        include=(HTTP, _NATIVE),
        flags=("-DAN_SHARED=1", "-DAN_WHY=1", "-DAN_TRACE=1"),
    ),
    WASM: Host(
        "wasm",
        sources=_CALLS,
        exports=(
            RUNTIME / "freestanding.c",
            _WASM / "event.c",
            _WASM / "handover.c",
            _WASM / "posts.c",
            _WASM / "outbox.c",
            _WASM / "gateway.c",
            _WASM / "ticks.c",
            _WASM / "host_wasm.c",
        ),
        include=(HTTP, _WASM),
        triple="wasm32-freestanding",
        flags=("-DAN_WHY=1", "-DAN_TRACE=1", "-DAN_SHARED=1"),
        link=("-s", "-nostdlib", "-Wl,--no-entry"),
    ),
}


def build(code: str, target: str) -> bytes:
    """The printed chain as Envoy loads it. Raises `InternalError` where it does not compile."""
    return c.build(code, HOSTS[target])
