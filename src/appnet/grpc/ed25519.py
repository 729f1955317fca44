"""Whether a signature of Ed25519 is right (RFC 8032), for programs that have no library of cryptography.

Nothing here is secret, so nothing takes care how long it takes. A signature takes some milliseconds.
"""

from __future__ import annotations

import hashlib

KEY_SIZE, SIGNATURE_SIZE = 32, 64

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)  # of -1

Point = tuple[int, int, int, int]
"""Extended coordinates: X, Y, Z and T, where x = X/Z, y = Y/Z and xy = T/Z."""

_NEUTRAL: Point = (0, 1, 1, 0)


def _added(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: Point) -> Point:
    found = _NEUTRAL
    while factor:
        if factor & 1:
            found = _added(found, point)
        point = _added(point, point)
        factor >>= 1
    return found


def _equal(one: Point, other: Point) -> bool:
    return not ((one[0] * other[2] - other[0] * one[2]) % _P or (one[1] * other[2] - other[1] * one[2]) % _P)


def _point(encoded: bytes) -> Point | None:
    """The point that these bytes stand for; None where they stand for none."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _base() -> Point:
    found = _point(((4 * pow(5, _P - 2, _P)) % _P).to_bytes(32, "little"))
    assert found is not None
    return found


_BASE = _base()


def is_key(encoded: bytes) -> bool:
    """Whether these bytes are a point of the curve: for any others nothing is ever signed."""
    return len(encoded) == KEY_SIZE and _point(encoded) is not None


def is_weak(key: bytes) -> bool:
    """Whether a key is a point of small order, such as zeros that stand for a key to come: for these, signatures are
    there without any private key."""
    point = _point(key)
    return point is not None and _equal(_times(8, point), _NEUTRAL)


def is_signed(key: bytes, text: bytes, signature: bytes) -> bool:
    """Whether the owner of the public key has signed the text."""
    if len(key) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    owner, commitment = _point(key), _point(signature[:32])
    answer = int.from_bytes(signature[32:], "little")
    if owner is None or commitment is None or answer >= _ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % _ORDER
    return _equal(_times(answer, _BASE), _added(commitment, _times(challenge, owner)))
