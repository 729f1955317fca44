"""What Envoy loads: a chain as a shared library for the loader, or as a proxy-wasm module."""

from __future__ import annotations

from pathlib import Path

from appnet.codegen.c import build as c
from appnet.codegen.c.build import RUNTIME, Host
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.envoy.unwinding import can_unwind, unwinding

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


def _wasm(name: str, *, waits: bool) -> Host:
    files = ("fibers", "event", "handover", "posts", "outbox", "gateway", "turns", "ticks", "host_wasm")
    return Host(
        name,
        sources=_CALLS,
        exports=(RUNTIME / "freestanding.c", *(_WASM / f"{it}.c" for it in files)),
        include=(HTTP, _WASM),
        triple="wasm32-freestanding",
        flags=("-DAN_WHY=1", "-DAN_TRACE=1", "-DAN_SHARED=1", *(("-DAN_FIBERS=1", "-g0") if waits else ())),
        link=(*(() if waits else ("-s",)), "-nostdlib", "-Wl,--no-entry"),  # unwinding knows functions by name
    )


HOSTS = {
    NATIVE: c.shared_object(
        "native",
        sources=(RUNTIME / "hosted.c", *_CALLS),
        exports=(RUNTIME / "chain_table.c", _NATIVE / "host_module.c"),
        include=(HTTP, _NATIVE),
        flags=("-DAN_SHARED=1", "-DAN_WHY=1", "-DAN_TRACE=1"),
    ),
    WASM: _wasm("wasm", waits=False),
}

_WAITING = _wasm("wasm-waiting", waits=True)
"""Of chains whose calls wait for a store."""


def build(code: str, target: str) -> bytes:
    """The printed chain as Envoy loads it. Raises `InternalError` where it does not compile."""
    if target == WASM and c.wants(code, "STEPS") and can_unwind():
        return unwinding(c.build(code, _WAITING))
    return c.build(code, HOSTS[target])
