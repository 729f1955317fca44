"""The headers by which chains tell Envoy what to do with a request. No server sees them."""

from __future__ import annotations

from collections.abc import Mapping

from appnet.interpret import Rpc

DESTINATION = "dst"
"""Holds the number, from 0, of the host that a request goes to; anything else is any host."""

DELAY = "x-envoy-fault-delay-request"
"""Holds how many milliseconds Envoy's fault filter is to delay a request."""


def marks(rpc: Rpc) -> dict[str, bytes]:
    """What a module sets of these for the call as the interpreter left it."""
    found = {}
    if rpc.routed:
        found[DESTINATION] = b"any" if rpc.destination is None else b"%d" % rpc.destination
    if rpc.wait is not None:
        found[DELAY] = b"%d" % int(rpc.wait * 1e3)
    return found


def read(metadata: Mapping[str, bytes]) -> tuple[dict[str, bytes], int | None, float | None]:
    """Metadata as it went on: what is none of these, the host that was chosen, and the seconds to wait."""
    host, milliseconds = metadata.get(DESTINATION, b""), metadata.get(DELAY)
    own = {key: value for key, value in metadata.items() if key not in {DESTINATION, DELAY}}
    return own, int(host) if host.isdigit() else None, None if milliseconds is None else int(milliseconds) / 1e3
