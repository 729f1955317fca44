"""The LZ4 frames that `compress` writes: blocks of 64 KiB that stand alone, the content's size and its XXH32.

Which matches a frame uses is part of its meaning here, as its bytes can be seen; LZ4's own library reads it back.
"""

from __future__ import annotations

import struct

import lz4.frame

MOST_CONTENT = 4 << 20
"""Bytes that a frame may hold to be decompressed."""

_BLOCK = 64 << 10
_START = bytes.fromhex("04224d186c40")
_HEADER = 15
_RAW = 1 << 31
_PRIMES = (2654435761, 2246822519, 3266489917, 668265263, 374761393)
_MASK = 2**32 - 1


def compress(data: bytes) -> bytes:
    """The frame of the data."""
    head = _START + struct.pack("<Q", len(data))
    blocks = (data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK))
    body = b"".join(map(_framed, blocks))
    return head + bytes([xxh32(head[4:]) >> 8 & 255]) + body + struct.pack("<II", 0, xxh32(data))


def decompress(frame: bytes) -> bytes | None:
    """The data of a frame as `compress` writes it; None for anything else and for more than `MOST_CONTENT` bytes."""
    if len(frame) < _HEADER or not frame.startswith(_START) or struct.unpack_from("<Q", frame, 6)[0] > MOST_CONTENT:
        return None
    try:
        data, used = lz4.frame.decompress(frame, return_bytes_read=True)
    except RuntimeError:  # what its library finds wrong
        return None
    return data if used == len(frame) else None


def xxh32(data: bytes) -> int:
    """XXH32 with seed 0."""
    p0, p1, p2, p3, p4 = _PRIMES
    whole = len(data) // 16 * 16
    total = p4
    if whole:
        lanes = [p0 + p1, p1, 0, -p0]
        for at in range(0, whole, 16):
            for lane, word in enumerate(struct.unpack_from("<4I", data, at)):
                lanes[lane] = _rotated(lanes[lane] + word * p1, 13) * p0
        total = sum(_rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True))
    total += len(data)
    words = (len(data) - whole) // 4
    for word in struct.unpack_from(f"<{words}I", data, whole):
        total = _rotated(total + word * p2, 17) * p3
    for byte in data[whole + 4 * words :]:
        total = _rotated(total + byte * p4, 11) * p0
    for shift, prime in ((15, p1), (13, p2)):
        total &= _MASK
        total = (total ^ total >> shift) * prime
    total &= _MASK
    return total ^ total >> 16


def _rotated(value: int, by: int) -> int:
    value &= _MASK
    return (value << by | value >> (32 - by)) & _MASK


def _framed(block: bytes) -> bytes:
    packed = _packed(block)
    if len(packed) >= len(block):
        return struct.pack("<I", len(block) | _RAW) + block
    return struct.pack("<I", len(packed)) + packed


def _packed(block: bytes) -> bytes:
    """Greedy: at each place the last one with the same hash of four bytes is tried, at first the block's begin."""
    places: dict[int, int] = {}
    out = bytearray()
    literals, at = 0, 1
    while at + 12 <= len(block):
        four = block[at : at + 4]
        hashed = (int.from_bytes(four, "little") * _PRIMES[0] & _MASK) >> 20
        before = places.get(hashed, 0)
        places[hashed] = at
        if block[before : before + 4] != four:
            at += 1
            continue
        match = 4
        while at + match + 5 < len(block) and block[before + match] == block[at + match]:
            match += 1
        out += _sequence(block[literals:at], at - before, match)
        literals = at = at + match
    return bytes(out + _sequence(block[literals:], 0, 0))


def _sequence(literals: bytes, distance: int, match: int) -> bytes:
    """Literals, and a match behind them unless ``match`` is 0."""
    more = max(match - 4, 0)
    out = bytes([min(len(literals), 15) << 4 | min(more, 15)]) + _length(len(literals)) + literals
    return out + struct.pack("<H", distance) + _length(more) if match else out


def _length(length: int) -> bytes:
    return b"" if length < 15 else b"\xff" * ((length - 15) // 255) + bytes([(length - 15) % 255])
