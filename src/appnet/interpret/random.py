"""The generator of random draws that every element has for itself: splitmix64."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

_MASK = 2**64 - 1


@functools.lru_cache(maxsize=1024)
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


class Given(Generator):
    """Draws that were made elsewhere; then zeros."""

    def __init__(self, draws: Sequence[int]) -> None:
        super().__init__(0, "")
        self._draws = list(draws)

    def draw(self) -> int:
        """The next one."""
        return self._draws.pop(0) if self._draws else 0


def coupled_generator(seed: int, element: str, call: int, handler: str) -> Generator:
    """The draws of one handler of one element for one call."""
    return Generator(seed ^ fnv1a(f"{handler} {call}".encode()), element)


def coupled_seed(element: str, call: int, handler: str, share: float) -> int:
    """The seed with which the first of those draws, as a float in [0, 1), is ``share``, or the next one above it."""
    return first_draw_seed(element, share) ^ fnv1a(f"{handler} {call}".encode())


def first_draw_seed(element: str, share: float) -> int:
    """The seed with which the element's first draw, as a float in [0, 1), is ``share``, or the next one above it."""
    state = _unmix(min(math.ceil(share * 2**53), 2**53 - 1) << 11)
    return (state - 0x9E37_79B9_7F4A_7C15 ^ fnv1a(element.encode())) & _MASK


def _unmix(z: int) -> int:
    """The state from which a draw was mixed: each step of the mixing can be undone."""
    z ^= (z >> 31) ^ (z >> 62)
    z = (z * pow(0x94D0_49BB_1331_11EB, -1, 2**64)) & _MASK
    z ^= (z >> 27) ^ (z >> 54)
    z = (z * pow(0xBF58_476D_1CE4_E5B9, -1, 2**64)) & _MASK
    return z ^ (z >> 30) ^ (z >> 60)
