"""A call through an instance: what an event may ask for is given before it, and what came of it is there after it."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from appnet.grpc.chain import FRAME_SIZE, Carrier, Instance, Method

FORWARD, REFUSE, ANSWER = range(3)
REQUEST_METADATA, RESPONSE_METADATA, RESPONSE_TRAILERS = range(3)
OF_REQUEST, OF_RESPONSE, OF_REPLY = range(3)
TRACED_NOT, TRACED_AS_TOLD, TRACED_DRAWN = range(3)
CANCELLED = 1
NO_DEADLINE = 2**64 - 1

_ROOM = 1 << 12
_ABSENT, _ONE, _SEVERAL = range(3)
_IN = struct.Struct("<14QIi")
_OUT = struct.Struct("<IiQQQQQQQQQqQIII")
_TRACE = struct.Struct("<I")
_TRACE_AT = 224
_WAITS = struct.Struct("<I")
_WAITS_AT = 228
_SLOT = struct.Struct("<QQ?BBxxxxx")
_DOUBLE, _BITS = struct.Struct("<d"), struct.Struct("<Q")
_MASK = 2**64 - 1

Edit = tuple[int, str, bytes | None]
"""A map of metadata, a key, and the value that stands in the place of all its values; None: it goes."""


def bits_of(value: Any) -> int:
    """A number or a bool as its 64 bits."""
    return _BITS.unpack(_DOUBLE.pack(value))[0] if type(value) is float else int(value) & _MASK


def float_of(bits: int) -> float:
    """The other way round."""
    found: float = _DOUBLE.unpack(_BITS.pack(bits))[0]
    return found


class Slot:
    """A field as handlers left it: its two words, and whether it is set, or cleared first."""

    __slots__ = ("cleared", "size", "word", "written")

    def __init__(self, at: int) -> None:
        self.word, self.size, _, self.written, self.cleared = _SLOT.unpack(ctypes.string_at(at, _SLOT.size))


def text_at(address: int, size: int) -> bytes:
    """A copy of a text of the chain's."""
    return ctypes.string_at(address, size) if size else b""


class Call:
    """The events of a call one after another, by one thread at a time, and `end` in any case."""

    def __init__(self, instance: Instance, method: Method) -> None:
        self.instance, self.method = instance, method
        self._functions = instance.chain.functions
        self._block = ctypes.create_string_buffer(FRAME_SIZE + _ROOM)
        self._view = memoryview(self._block).cast("B")
        self._at = ctypes.addressof(self._block)
        self._handle = 0
        self._status = 0
        self._peer = (0, 0)
        self.now_ns = self.wall_ns = 0
        self.verdict = FORWARD
        self.traced = False
        self.next()

    @property
    def begun(self) -> bool:
        """Whether the chain has anything of the call."""
        return self._handle != 0

    # --- what is given ---

    def next(self) -> None:
        """Another event begins: what was lent for the one before is needed no more."""
        self._used = FRAME_SIZE
        self._more: list[Any] = []
        self._given: list[int] = []
        self._pairs: tuple[list[int], list[int], list[int]] = ([], [], [])
        self.size = 0

    def _lend(self, data: bytes) -> int:
        start = self._used
        end = start + len(data)
        if end > len(self._view):
            self._more.append(ctypes.create_string_buffer(data, max(len(data), 1)))
            return ctypes.addressof(self._more[-1])
        self._view[start:end] = data
        self._used = (end + 7) & -8
        return self._at + start

    def fields(self, count: int) -> None:
        """Room for what the message has; all of it is absent."""
        self._given = [0] * (3 * count)

    def set_bits(self, field: int, bits: int) -> None:
        """A field of one value: a number's bits, or of a message how many there are."""
        self._given[3 * field : 3 * field + 3] = (bits, 0, _ONE)

    def set_text(self, field: int, text: bytes) -> None:
        """A field of one text."""
        self._given[3 * field : 3 * field + 3] = (self._lend(text), len(text), _ONE)

    def set_values(self, field: int, values: Sequence[Any], *, each: int = 1) -> None:
        """A field of several: bytes, or numbers. ``each``: 2 where they are entries, a key and its value in turn."""
        words: list[int] = []
        for it in values:
            words += (self._lend(it), len(it)) if isinstance(it, bytes) else (bits_of(it), 0)
        at = self._lend(struct.pack(f"<{len(words)}Q", *words))
        self._given[3 * field : 3 * field + 3] = (at, len(values) // each, _SEVERAL)

    def add_metadata(self, which: int, key: bytes, value: bytes) -> None:
        """Adds to a map of metadata."""
        self._pairs[which].extend((self._lend(key), len(key), self._lend(value), len(value)))

    def trace(self, how: int) -> None:
        """Says before the first event what is to be made of the trace that the call is part of; `traced` says after it
        whether the call has a span."""
        _TRACE.pack_into(self._block, _TRACE_AT, how)

    def set_peer(self, name: bytes) -> None:
        """Who the caller proved to be; for all events from now on."""
        self._kept_peer = ctypes.create_string_buffer(name, max(len(name), 1))
        self._peer = (ctypes.addressof(self._kept_peer), len(name))

    # --- events ---

    def open(self) -> int:
        """Judges the beginning of the call."""
        return self._event("open")

    def begin(self) -> int:
        """Judges the beginning and the request of an unary call."""
        return self._event("begin")

    def request(self) -> int:
        """Judges a message of a stream of requests."""
        return self._event("request")

    def response(self) -> int:
        """Judges a response, or a message of a stream of them."""
        return self._event("response")

    def end_response(self, status: int) -> int:
        """Judges an error, or the end of a stream of responses."""
        self._status, self._given = status, []
        return self._event("end_response")

    def end(self, status: int = CANCELLED) -> None:
        """The call has ended, in whatever way; ``status``: as the caller has it. Nobody waits for what that makes of
        shared state."""
        if self._handle:
            self._status = status
            self._show()
            self._functions["end"](self._at, 0, 0, 0)
            self._handle = 0
            if self._waits:
                self._carrier.leave_behind(self._at, self._go_on)
            else:
                self.next()

    @property
    def _carrier(self) -> Carrier:
        assert self.instance.carrier is not None
        return self.instance.carrier

    @property
    def _waits(self) -> bool:
        return bool(_WAITS.unpack_from(self._block, _WAITS_AT)[0])

    def _go_on(self) -> bool:
        """The store has answered; whether the event is over now."""
        self.instance.chain.stores["resume"](self._at, 0, 0, 0)
        return not self._waits

    def _show(self) -> None:
        pairs = [self._lend(struct.pack(f"<{len(it)}Q", *it)) if it else 0 for it in self._pairs]
        given = self._lend(struct.pack(f"<{len(self._given)}Q", *self._given)) if self._given else 0
        counts = (len(it) // 4 for it in self._pairs)
        _IN.pack_into(
            self._block, 0, self.now_ns, self.wall_ns, self.instance.handle, self._handle, given, *pairs, *counts,
            *self._peer, self.size, self.method.index, self._status,
        )  # fmt: skip

    def _event(self, function: str) -> int:
        self._show()
        self._functions[function](self._at, 0, 0, 0)
        over = not self._waits
        while not over:
            self._carrier.wait(self._at)
            over = self._go_on()
        self._handle = _BITS.unpack_from(self._block, 24)[0]
        (
            self.verdict, self.code, text, size, self.slots, self.reply, self._own, self._trailers, self._edits, _,
            self.deadline_ns, self.destination, self.wait_ms, touched, _, traced,
        ) = _OUT.unpack_from(self._block, 120)  # fmt: skip
        self.touched, self.edited, self.traced = touched != 0, self._edits != 0, traced != 0
        self.text = text_at(text, size) if self.verdict == REFUSE else b""
        return self.verdict

    # --- what came of the last one ---

    def slot(self, slots: int, field: int) -> Slot:
        """A field of ``slots`` or ``reply``."""
        return Slot(slots + field * _SLOT.size)

    def values(self, part: int, field: int, each: int) -> list[tuple[int, int]]:
        """Those of a field of many that is written, as two words each. Raises `MemoryError`."""
        count = ctypes.c_uint64()
        at = self._functions["values"](self._at, part, field, ctypes.addressof(count))
        if count.value == _MASK:
            raise MemoryError("out of memory")
        return list(struct.iter_unpack("<QQ", ctypes.string_at(at, 16 * each * count.value))) if count.value else []

    def edits(self) -> list[Edit]:
        """What handlers did to metadata, in order."""
        found: list[Edit] = []
        at = self._edits
        while at:
            at, key, key_size, value, size, which, removes = struct.unpack("<5QII", ctypes.string_at(at, 48))
            found.append((which, text_at(key, key_size).decode("latin-1"), None if removes else text_at(value, size)))
        return found

    def own(self) -> list[tuple[str, bytes]]:
        """The metadata of a refusal, or what goes before an answer."""
        return list(_entries(self._own))

    def trailers(self) -> list[tuple[str, bytes]]:
        """What goes behind an answer."""
        return list(_entries(self._trailers))


def _entries(at: int) -> Iterator[tuple[str, bytes]]:
    while at:
        at, key, key_size, value, size = struct.unpack("<5Q", ctypes.string_at(at, 40))
        yield text_at(key, key_size).decode("latin-1"), text_at(value, size)
