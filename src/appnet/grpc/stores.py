"""What a chain asks of the store of shared state, by its table ``an_stores``; ``frames.h`` has more."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator
from typing import Any

FUNCTIONS = (
    "instance_new", "count", "names", "take", "answer", "unanswered", "away", "waits_since", "leave", "woken", "resume",
)  # fmt: skip
"""Those of ``an_stores``, in its order."""

_PARTS = 8
_HEAD = struct.Struct("<4Q")
_VIEW = struct.Struct("<QQ")
_ANSWER_AT = _HEAD.size + _PARTS * _VIEW.size
_FLAW_AT = _ANSWER_AT + _VIEW.size
_SIZE = _FLAW_AT + _VIEW.size


class Stores:
    """The copies that an instance has of what is in the store, by their numbers. One request of each is under way at
    most. ``clock``: as chains are told the time."""

    def __init__(self, functions: dict[str, Any], handle: int, clock: Callable[[], tuple[int, int]]) -> None:
        self._functions, self._handle, self._clock = functions, handle, clock
        self.names = [self._names(copy) for copy in range(functions["count"](handle, 0, 0, 0))]
        """Of each copy whose state it is: the element, and the variable where it is merged."""

    @property
    def waits(self) -> bool:
        """Whether calls wait for the store."""
        return not all(variable for _, variable in self.names)

    def _call(self, function: str, copy: int, *, due: bool = False, answer: bytes = b"") -> tuple[int, Any]:
        exchange = ctypes.create_string_buffer(_SIZE)
        kept = ctypes.create_string_buffer(answer, max(len(answer), 1))
        _HEAD.pack_into(exchange, 0, *self._clock(), int(due), 0)
        _VIEW.pack_into(exchange, _ANSWER_AT, ctypes.addressof(kept), len(answer))
        return self._functions[function](self._handle, copy, ctypes.addressof(exchange), 0), exchange

    def _names(self, copy: int) -> tuple[str, str]:
        element, variable = _parts(self._call("names", copy)[1])
        return element.decode(), variable.decode()

    def take(self, copy: int, *, due: bool) -> list[bytes] | None:
        """What is to be asked now, as the script's arguments; None: nothing."""
        asks, exchange = self._call("take", copy, due=due)
        return _parts(exchange) if asks else None

    def answer(self, copy: int, answer: bytes) -> str:
        """The script's answer; what is wrong with it, if anything."""
        _, exchange = self._call("answer", copy, answer=answer)
        return _text(*_VIEW.unpack_from(exchange, _FLAW_AT)).decode("utf-8", "replace")

    def unanswered(self, copy: int) -> None:
        """Nobody knows what became of the request."""
        self._call("unanswered", copy)

    def away(self, copy: int) -> None:
        """Calls wait no longer."""
        self._call("away", copy)

    def waiting_for(self, copy: int) -> float:
        """The seconds that calls, or a merge, have waited for a word of the store; 0.0: none does."""
        since, _ = self._call("waits_since", copy)
        return max(self._clock()[0] - since, 1) / 1e9 if since else 0.0

    def leave(self, copy: int) -> list[bytes]:
        """What is to be said at the end."""
        return _parts(self._call("leave", copy)[1])

    def woken(self) -> Iterator[int]:
        """The frames whose events go on, by their addresses."""
        while found := self._functions["woken"](self._handle, 0, 0, 0):
            yield found


def _text(address: int, size: int) -> bytes:
    return ctypes.string_at(address, size) if size else b""


def _parts(exchange: Any) -> list[bytes]:
    count = _HEAD.unpack_from(exchange)[3]
    return [_text(*_VIEW.unpack_from(exchange, _HEAD.size + it * _VIEW.size)) for it in range(count)]
