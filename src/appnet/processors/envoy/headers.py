"""The headers by which chains tell Envoy what to do with a request. No server sees them."""

from __future__ import annotations

from collections.abc import Mapping

from appnet.interpret import Rpc
from appnet.interpret.deadlines import timeout_text
from appnet.language.operations.metadata import DELAY, HOST

TIMEOUT = "grpc-timeout"
"""How long the call may still take."""


def marks(rpc: Rpc) -> dict[str, bytes]:
    """What a module sets of these for the call as the interpreter left it."""
    found = {}
    if rpc.routed:
        found[HOST] = b"any" if rpc.destination is None else b"%d" % rpc.destination
    if rpc.wait_ms:
        found[DELAY] = b"%d" % rpc.wait_ms
    if rpc.timeout_ns is not None:
        found[TIMEOUT] = timeout_text(rpc.timeout_ns)
    return found


def read(metadata: Mapping[str, bytes]) -> tuple[dict[str, bytes], int | None, int]:
    """Metadata as it went on: what is none of these, the host that was chosen, and the milliseconds to wait."""
    host, wait_ms = metadata.get(HOST, b""), int(metadata.get(DELAY, b"0"))
    own = {key: value for key, value in metadata.items() if key not in {HOST, DELAY, TIMEOUT}}
    return own, int(host) if host.isdigit() else None, wait_ms
