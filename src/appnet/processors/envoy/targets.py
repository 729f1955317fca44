"""What Envoy loads chains as, and what elements get there."""

from __future__ import annotations

from appnet.ir.needs import Need
from appnet.processors.envoy.unwinding import can_unwind
from appnet.processors.processor import Target

NATIVE = "native"
WASM = "wasm"

REPLY_MARK = "x-appnet-reply"
"""The header by which a wasm module marks the answer that it has a message for, and which it takes away (`replies`)."""

# Calls wait for the store where modules can be compiled so.
_SHARES = {Need.MERGED_STATE, Need.SHARED_STATE} if can_unwind() else {Need.MERGED_STATE}
_EVERYTHING = frozenset(Need) - {Need.MERGED_STATE, Need.SHARED_STATE} | _SHARES

TARGETS = {
    # A module that sets an empty value takes the key away.
    NATIVE: Target(NATIVE, "so", gives=frozenset(Need), alone=frozenset(Need), sets_empty=False),
    # Each worker has a machine, and so a state, of its own. A module can but reset a response that has begun: Envoy
    # lets it change trailers only where the server ends the stream.
    # It cannot open connections.
    WASM: Target(
        *(WASM, "wasm", _EVERYTHING - {Need.ONE_STATE}, _EVERYTHING),
        ends_begun=False,
        asks=frozenset(_SHARES),
    ),
}
