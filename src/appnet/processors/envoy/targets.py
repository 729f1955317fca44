"""What Envoy loads chains as, and what elements get there."""

from __future__ import annotations

from appnet.ir.needs import Need
from appnet.processors.processor import Target

NATIVE = "native"
WASM = "wasm"

_EVERYTHING = frozenset(Need)
# A wasm module can answer a gRPC call with a status alone; each worker has a machine, and so a state, of its own.
_BUT_REPLIES = _EVERYTHING - {Need.REPLY}

TARGETS = {
    NATIVE: Target(NATIVE, "so", gives=_EVERYTHING, alone=_EVERYTHING),
    WASM: Target(WASM, "wasm", gives=_BUT_REPLIES - {Need.ONE_STATE}, alone=_BUT_REPLIES),
}
