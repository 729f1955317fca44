"""Code for several machines in one piece, each part with its hash: what a chain was built to.

    "appnet\\0\\1" | u32 count | count times: u8 length, machine, SHA-256, u32 size | the code of each

little-endian, and nothing behind it.
"""

from __future__ import annotations

import hashlib
import platform
import struct

MAGIC = b"appnet\0\1"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
"""This machine, as Go names it."""

_NONE = "not the code of a chain"


def read_container(packed: bytes) -> dict[str, bytes]:
    """The code by machine, each what its hash says. Raises `ValueError` for anything else."""
    try:
        return _read(packed)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(_NONE) from error


def code_for(packed: bytes, machine: str = MACHINE) -> bytes:
    """The code for a machine. Raises `ValueError` where there is none, or it is not what its hash says."""
    found = read_container(packed)
    if machine not in found:
        raise ValueError(f"it has no code for {machine}, only for {' and '.join(found) or 'none'}")
    return found[machine]


def _read(packed: bytes) -> dict[str, bytes]:
    if packed[: len(MAGIC)] != MAGIC:
        raise ValueError(_NONE)
    at = len(MAGIC)
    (count,) = struct.unpack_from("<I", packed, at)
    at += 4
    parts: list[tuple[str, bytes, int]] = []
    for _ in range(count):
        (length,) = struct.unpack_from("<B", packed, at)
        machine, digest = packed[at + 1 : at + 1 + length].decode(), packed[at + 1 + length : at + 33 + length]
        (size,) = struct.unpack_from("<I", packed, at + 33 + length)
        parts.append((machine, digest, size))
        at += 37 + length
    code: dict[str, bytes] = {}
    for machine, digest, size in parts:
        part = packed[at : at + size]
        if hashlib.sha256(part).digest() != digest:
            raise ValueError(f"its code for {machine} is not what its hash says")
        code[machine], at = part, at + size
    if at != len(packed):
        raise ValueError(_NONE)
    return code
