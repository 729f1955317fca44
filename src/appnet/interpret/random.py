"""The generator of random draws that every element has for itself: splitmix64."""

from __future__ import annotations

_MASK = 2**64 - 1


def fnv1a(data: bytes) -> int:
    """FNV-1a with 64 bits."""
    value = 0xCBF2_9CE4_8422_2325
    for byte in data:
        value = ((value ^ byte) * 0x100_0000_01B3) & _MASK
    return value


class Generator:
    """The draws of one element in one instance: 64 bits each."""

    def __init__(self, seed: int, element: str) -> None:
        self._state = (seed ^ fnv1a(element.encode())) & _MASK

    def draw(self) -> int:
        """The next draw, in [0, 2**64)."""
        self._state = (self._state + 0x9E37_79B9_7F4A_7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
        return z ^ (z >> 31)
