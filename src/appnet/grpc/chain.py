"""An opened chain: its tables, read within bounds, and the functions that hosts call. ``frames.h`` has more."""

from __future__ import annotations

import ctypes
import struct
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from appnet.grpc.elf import PAGE
from appnet.grpc.image import Image
from appnet.grpc.stores import FUNCTIONS as _OF_STORES
from appnet.grpc.stores import Stores

FRAMES_ABI, CHAIN_ABI, SHARED_LAYOUT = 4, 3, 1
FRAMES_SIZE, CHAIN_SIZE, FRAME_SIZE = 20 * 8, 216, 30 * 8

WANTS_REQUEST_METADATA, WANTS_RESPONSE_METADATA, WANTS_AUTHORITY, WANTS_PEER = 1, 2, 4, 8
WANTS_TIMEOUT, WANTS_CLOCK, WANTS_SIZE = 16, 32, 64

KINDS = (
    "bool", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "enum", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "float", "double", "string", "bytes", "message",
)  # fmt: skip
"""The kinds of fields by their numbers in ``an_field_kind``."""

ONE, ITEMS, ENTRIES, MESSAGES, KEYED_MESSAGES = range(5)

_METHOD_SIZE, _SIDE_SIZE, _FIELD_SIZE = 16 + 3 * 32 + 5 * 8, 32, 48
_MOST, _DEEPEST = 1 << 12, 16
_FUNCTIONS = (
    "attach", "instance_new", "instance_free", "open", "begin", "request", "response", "end_response", "end", "values",
    "telemetry", "finish", "metrics", "spans", "spans_lost",
)  # fmt: skip
_OF_THE_CHAIN = ("pending", "dump", "release")

# The interpreter's lock is kept: events take a microsecond, and no other thread meets half of one.
_FUNCTION = ctypes.PYFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * 4)


@dataclass(frozen=True)
class Field:
    """A field that a chain uses: its numbers from the message inwards, or from the messages of field ``within`` - 1.

    ``packed``, ``groups`` and ``oneofs`` say how it stands on the wire, for whoever has no .proto.
    """

    numbers: tuple[int, ...]
    kind: str
    many: int
    key_kind: str
    within: int
    packed: bool
    groups: int
    oneofs: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """One direction of a method, as ``an_side`` has it."""

    fields: tuple[Field, ...]
    needs_message: bool
    needs_status: bool
    holds: bool
    empty: bool
    streams: bool
    quiet: bool


@dataclass(frozen=True)
class Method:
    """A method that a chain judges. ``ends``: handlers ask how calls end."""

    path: str
    index: int
    request: Side
    response: Side
    reply: Side
    ends: bool


class Chain:
    """A file, opened after all of it was checked. Raises `ValueError` for what is no chain of this ABI."""

    def __init__(self, file: bytes) -> None:
        self.image = Image(file)
        try:
            self._read()
        except struct.error as error:
            raise ValueError("a table leads out of the file") from error
        self.functions["attach"](_shared_memory(), 0, 0, 0)

    def _read(self) -> None:
        image = self.image
        entry = image.base + image.layout.entry
        abi, size, frame, layout, shared, self.wants = struct.unpack("<6I", image.read(entry, FRAMES_SIZE)[:24])
        if (abi, size, frame) != (FRAMES_ABI, FRAMES_SIZE, FRAME_SIZE):
            raise ValueError(
                f"it is for ABI {abi} of frames, this is {FRAMES_ABI}: take the library and the compiler of one release"
            )
        if layout != SHARED_LAYOUT or shared > PAGE:
            raise ValueError(f"it lays memory out in way {layout}, this process in way {SHARED_LAYOUT}")
        words = image.words(entry + 24, 17)
        table = image.words(words[0], CHAIN_SIZE // 8)
        if table[0] != CHAIN_ABI | CHAIN_SIZE << 32:
            raise ValueError(f"it is for ABI {table[0] & 0xFFFFFFFF} of chains, this is {CHAIN_ABI}")
        self.name, self.version = image.text(table[1]), image.text(table[2])
        addresses = [*words[1:16], *table[24:27]]
        self.functions: dict[str, Any] = {
            name: _FUNCTION(image.function(address))
            for name, address in zip((*_FUNCTIONS, *_OF_THE_CHAIN), addresses, strict=True)
        }
        stores = image.words(words[16], len(_OF_STORES)) if words[16] else ()
        self.stores: dict[str, Any] = {
            name: _FUNCTION(image.function(address)) for name, address in zip(_OF_STORES, stores, strict=bool(stores))
        }
        self.methods = [
            self._method(at, index) for index, at in enumerate(self._rows(table[3], table[4], _METHOD_SIZE))
        ]

    def _rows(self, at: int, count: int, size: int) -> range:
        if count > _MOST:
            raise ValueError("a table is too long")
        if count:
            self.image.read(at, count * size)
        return range(at, at + count * size, size)

    def _method(self, at: int, index: int) -> Method:
        path, size = self.image.words(at, 2)
        if size > _MOST:
            raise ValueError("a path is too long")
        request, response, reply = (self._side(at + 16 + number * _SIDE_SIZE) for number in range(3))
        ends = self.image.words(at + 16 + 3 * _SIDE_SIZE + 24, 1)[0] != 0
        return Method(self.image.read(path, size).decode("utf-8", "replace"), index, request, response, reply, ends)

    def _side(self, at: int) -> Side:
        fields, _, count = self.image.words(at, 3)
        flags = (it != 0 for it in self.image.read(at + 24, 6))
        rows = self._rows(fields, count, _FIELD_SIZE)
        return Side(tuple(self._field(row, index, count) for index, row in enumerate(rows)), *flags)

    def _field(self, at: int, index: int, count: int) -> Field:
        numbers, depth, kind, many, key_kind, packed, groups, within, _, oneofs, _ = struct.unpack(
            "<QBBBBBxHHxxxxxxQQQ", self.image.read(at, _FIELD_SIZE)
        )
        none = not 0 < depth <= _DEEPEST or kind >= len(KINDS) or many > KEYED_MESSAGES or key_kind >= len(KINDS)
        if none or within > count or within == index + 1:
            raise ValueError("a field is none that there is")
        return Field(
            struct.unpack(f"<{depth}I", self.image.read(numbers, 4 * depth)),
            KINDS[kind],
            many,
            KINDS[key_kind],
            within,
            packed != 0,
            groups,
            struct.unpack(f"<{depth}H", self.image.read(oneofs, 2 * depth)) if oneofs else (0,) * depth,
        )

    def method(self, path: str) -> Method:
        """The method of this path."""
        return next(it for it in self.methods if it.path == path)


class Carrier(Protocol):
    """How an instance reaches the store of shared state. ``name``: its own, unlike any other's."""

    name: bytes
    waits: bool

    def clock(self) -> tuple[int, int]:
        """The time, as the instance's calls are told it."""

    def begin(self, stores: Stores) -> None:
        """The instance is there: it joins the others."""

    def wait(self, frame: int) -> None:
        """Returns once the event of the frame goes on; the thread that shows the event calls it."""

    def leave_behind(self, frame: int, go_on: Callable[[], bool]) -> None:
        """Nobody waits for the event: it goes on by itself once it can; ``go_on`` says whether it is over."""

    def end(self, free: Callable[[], None]) -> None:
        """No call is left: it tells the store so, and frees the instance. This must not wait."""


@cache
def _shared_memory() -> int:
    """Where all chains of the process have their memory and state, so that the next version goes on where this one is.
    It is never given back."""
    _shared.append(ctypes.create_string_buffer(PAGE))
    return ctypes.addressof(_shared[0])


_shared: list[Any] = []


class Instance:
    """The state of a chain in this process; ``scope``: state goes on from version to version by this name.

    ``now_ns`` and ``wall_ns``: of the moment. ``carrier``: how it shares state; None: it keeps its own. Raises
    `MemoryError`, and `ValueError` for a carrier where the chain shares nothing.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        seed: int,
        now_ns: int,
        wall_ns: int,
        resource: bytes = b"",
        scope: str = "",
        max_message: int = 0,
        hosts: int = 0,
        carrier: Carrier | None = None,
    ) -> None:
        self.chain, self.carrier = chain, carrier
        name = scope.encode()
        kept = ctypes.create_string_buffer(resource + name)
        at = ctypes.addressof(kept)
        setup = ctypes.create_string_buffer(
            struct.pack(
                "<7QII", seed, now_ns, wall_ns, at, len(resource), at + len(resource), len(name), max_message, hosts
            )
        )
        if carrier is None:
            self.handle: int = chain.functions["instance_new"](ctypes.addressof(setup), 0, 0, 0)
        elif not chain.stores:
            raise ValueError("it shares no state, and is told of a store")
        else:
            own = ctypes.create_string_buffer(carrier.name)
            self.handle = chain.stores["instance_new"](
                ctypes.addressof(setup), ctypes.addressof(own), len(carrier.name), 0
            )
        if not self.handle:
            raise MemoryError("no memory for its state")
        weakref.finalize(self, _end, chain, self.handle, carrier).atexit = False
        if carrier is not None:
            carrier.begin(Stores(chain.stores, self.handle, carrier.clock))

    @property
    def waits(self) -> bool:
        """Whether calls wait for the store of shared state."""
        return self.carrier is not None and self.carrier.waits

    def records(self, now_ns: int, wall_ns: int) -> bytes:
        """The records since the last time, as an encoded ``ExportLogsServiceRequest``; empty where there are none."""
        if not self.chain.functions["pending"](self.handle, 0, 0, 0) & 0xFF:
            return b""
        clock, size = _clock(now_ns, wall_ns), ctypes.c_uint64()
        telemetry = self.chain.functions["telemetry"]
        return self._taken(telemetry(self.handle, ctypes.addressof(clock), ctypes.addressof(size), 0), size)

    def metrics(self, now_ns: int, wall_ns: int, *, last: bool) -> bytes:
        """What was counted since it was made, as an encoded ``ExportMetricsServiceRequest``; empty where nothing was,
        or where it is too early to tell it again and this is not the ``last`` time."""
        clock, size = _clock(now_ns, wall_ns), ctypes.c_uint64()
        metrics = self.chain.functions["metrics"]
        return self._taken(metrics(self.handle, ctypes.addressof(clock), int(last), ctypes.addressof(size)), size)

    def spans(self, now_ns: int, wall_ns: int) -> tuple[bytes, int]:
        """The spans since the last time, as an encoded ``ExportTraceServiceRequest``, and how many there are."""
        clock, size, count = _clock(now_ns, wall_ns), ctypes.c_uint64(), ctypes.c_uint64()
        spans = self.chain.functions["spans"]
        at = spans(self.handle, ctypes.addressof(clock), ctypes.addressof(count), ctypes.addressof(size))
        return self._taken(at, size), count.value

    def spans_lost(self, count: int) -> None:
        """So many spans that were taken went nowhere."""
        self.chain.functions["spans_lost"](self.handle, count, 0, 0)

    def state(self) -> str:
        """All state that outlives calls, as `appnet.interpret.dump` writes it."""
        size = ctypes.c_uint64()
        return self._taken(self.chain.functions["dump"](self.handle, ctypes.addressof(size), 0, 0), size).decode()

    def _taken(self, data: int, size: ctypes.c_uint64) -> bytes:
        if not data:
            return b""
        found = ctypes.string_at(data, size.value)
        self.chain.functions["release"](data, 0, 0, 0)
        return found


def _clock(now_ns: int, wall_ns: int) -> Any:
    """An ``an_setup`` that tells the time alone."""
    return ctypes.create_string_buffer(struct.pack("<7QII", 0, now_ns, wall_ns, 0, 0, 0, 0, 0, 0))


def _end(chain: Chain, handle: int, carrier: Carrier | None) -> None:
    """Nobody has the instance any more."""

    def free() -> None:
        chain.functions["instance_free"](handle, 0, 0, 0)

    if carrier is None:
        free()
    else:
        carrier.end(free)
