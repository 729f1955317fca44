"""How long a call may last: what its caller says, and what handlers make of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from appnet.interpret.rpc import Rpc

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600 * 10**9, b"M": 60 * 10**9, b"S": 10**9, b"m": 10**6, b"u": 10**3, b"n": 1}
_MOST_DIGITS = 10**8
_MOST_NS = 2**62
MOST_SECONDS = 4e9
"""A longer time shortens no call."""


def timeout_ns(text: bytes) -> int | None:
    """The time that ``grpc-timeout`` gives; None where it is none."""
    found = _TIMEOUT.fullmatch(text)
    return min(int(found[1]) * _UNITS[found[2]], _MOST_NS) if found else None


def timeout_text(nanoseconds: int) -> bytes:
    """The time as ``grpc-timeout`` has it, in the smallest unit that fits."""
    for unit in (b"n", b"u", b"m", b"S"):
        count = nanoseconds // _UNITS[unit]
        if count < _MOST_DIGITS:
            return b"%d%s" % (count, unit)
    return b"%dH" % (nanoseconds // _UNITS[b"H"])


def begin(rpc: Rpc, now_ns: Callable[[], int]) -> None:
    """The request has come."""
    given = timeout_ns(rpc.metadata.get("grpc-timeout", b""))
    if rpc.deadline_ns is None and given is not None:
        rpc.deadline_ns = now_ns() + given


def seconds_left(rpc: Rpc, now_ns: int) -> float:
    """Until the deadline."""
    return math.inf if rpc.deadline_ns is None else float(max(rpc.deadline_ns - now_ns, 0)) / 1e9


def shorten(rpc: Rpc, now_ns: int, seconds: float) -> None:
    """The call ends in so many seconds, if not before."""
    if not seconds < MOST_SECONDS:  # nor where it is no number
        return
    at_ns = now_ns + int(max(seconds, 0.0) * 1e9)
    if rpc.deadline_ns is None or at_ns < rpc.deadline_ns:
        rpc.deadline_ns = at_ns
        rpc.shortened = True


def goes_on(rpc: Rpc, now_ns: Callable[[], int]) -> None:
    """The headers go on, and take along how much time is left."""
    if rpc.shortened and rpc.deadline_ns is not None:
        rpc.timeout_ns = max(rpc.deadline_ns - now_ns(), 0)
        rpc.shortened = False
