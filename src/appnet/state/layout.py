"""How the shared state of an element lies in the store, and what is said to the script that changes it: commit.lua and
join.lua of strong state, merge.lua of weak state."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from hashlib import sha1
from pathlib import Path

from appnet.diagnostics.diagnostic import InternalError
from appnet.interpret.values import Value, float_bits
from appnet.language.types import BOOL, BYTES, FLOAT, INSTANT, INT, STRING, UINT, MapType, PairType, Type, VecType

PARTS = ("meta", "log", "values", "entries", "order", "instances")
"""The keys of an element's strong state, in the order in which the script takes them."""
MERGED_PARTS = ("meta", "gone", "clocks", "entries", "order", "instances")
"""Those of one variable of its weak state."""

_SCRIPT = ("common", "commit", "instances", "merge", "join")

FORMAT = "1"
"""Of the keys: what the script knows."""

_TEXTS = (STRING, BYTES)


@cache
def script() -> bytes:
    """The script."""
    return b"".join((Path(__file__).parent / f"{it}.lua").read_bytes() for it in _SCRIPT)


@cache
def script_digest() -> str:
    """The name that ``EVALSHA`` knows it by."""
    return sha1(script(), usedforsecurity=False).hexdigest()


def state_keys(scope: str, element: str, variable: str = "") -> list[str]:
    """The keys of an element's strong state, or of a variable of its weak state; ``scope`` as `state_scope` makes it.

    All of them have one hash tag, so that they are on one node of a cluster.
    """
    begins = f"{{{scope}/{element}}}:"
    return [f"{begins}{variable}:{it}" for it in MERGED_PARTS] if variable else [f"{begins}{it}" for it in PARTS]


def state_scope(prefix: str, application: str, client: str, server: str) -> str:
    """What the state of the elements on an edge belongs to. A brace in a name would end the hash tag."""
    names = (it.replace("{", "(").replace("}", ")") for it in (application, client, server))
    return f"{prefix}:{'/'.join(names)}"


# --- changes ---


class ChangeKind(IntEnum):
    """What a change does."""

    VALUE = 1  # gives a variable its value
    SET = 2  # sets an entry of a Map, which becomes the newest
    DELETE = 3
    CLEAR = 4  # empties a Map
    READ = 5  # of a step: it has read an entry
    READ_ALL = 6  # and here all of a variable, or of all of them
    READ_UNKNOWN = 247  # it took an entry for absent that the instance does not know


@dataclass(frozen=True)
class Change:
    """One change of a variable; ``key`` and ``value`` as `encode_key` and `encode` make them."""

    kind: ChangeKind
    variable: str
    key: bytes = b""
    value: bytes = b""


def encode_changes(changes: Sequence[Change]) -> bytes:
    """The changes as the script and the runtime read them."""
    return b"".join(
        bytes([it.kind]) + b"".join(_text(part) for part in (it.variable.encode(), it.key, it.value)) for it in changes
    )


@dataclass(frozen=True)
class Step:
    """What one step of a batch has changed, and what it has read besides."""

    changes: Sequence[Change]
    read: Sequence[Change] = ()


def encode_steps(steps: Sequence[Step]) -> tuple[bytes, bytes]:
    """The changes of a batch, and its steps, as the script takes them."""
    changes = [encode_changes(it.changes) for it in steps]
    accounts = (
        len(own).to_bytes(4, "little") + _text(encode_changes(it.read)) for own, it in zip(changes, steps, strict=True)
    )
    return b"".join(changes), b"".join(accounts)


def decode_changes(data: bytes) -> Iterator[Change]:
    """The changes. Raises `ValueError` where the bytes are none."""
    reader = _Reader(data)
    while reader.rest:
        kind = ChangeKind(reader.take(1)[0])
        yield Change(kind, reader.text().decode(), reader.text(), reader.text())


def first_changes(variable: str, type_: Type, value: Value) -> list[Change]:
    """The changes that give the variable a value where the store has nothing of it."""
    if isinstance(type_, MapType):
        return [
            Change(ChangeKind.SET, variable, encode_key(key, type_.key), encode(it, type_.value))
            for key, it in value.items()
        ]
    return [Change(ChangeKind.VALUE, variable, b"", encode(value, type_))]


def apply_change(change: Change, type_: Type, value: Value) -> Value:
    """What the variable holds after it: of a Map the same object, changed; Instants by the wall clock."""
    if not isinstance(type_, MapType):
        return decode(change.value, type_)
    if change.kind is ChangeKind.CLEAR:
        value.clear()
        return value
    key = decode_key(change.key, type_.key)
    value.pop(key, None)
    if change.kind is ChangeKind.SET:
        value[key] = decode(change.value, type_.value)
    return value


# --- values: as state_bytes.h has them ---


def encode(value: Value, type_: Type) -> bytes:
    """The value as bytes, little-endian: a bool is a byte, a number 8 bytes, a text a u32 size and bytes.

    A Vec is a u32 count and its items, a Map a count and keys and values.
    """
    match type_:
        case PairType(first=first, second=second):
            return encode(value[0], first) + encode(value[1], second)
        case VecType(item=item):
            return struct.pack("<I", len(value)) + b"".join(encode(it, item) for it in value)
        case MapType(key=key, value=kept):
            pairs = (_inner_key(name, key) + encode(it, kept) for name, it in value.items())
            return struct.pack("<I", len(value)) + b"".join(pairs)
    if type_ in _TEXTS:
        return _text(bytes(value))
    if type_ == BOOL:
        return bytes([value])
    return struct.pack("<Q", float_bits(value) if type_ == FLOAT else value % 2**64)


def encode_key(key: Value, type_: Type) -> bytes:
    """A key of a Map: a text as it is, anything else as 8 bytes."""
    return bytes(key) if type_ in _TEXTS else _inner_key(key, type_)


def decode_key(data: bytes, type_: Type) -> Value:
    """The key of a Map. Raises `ValueError` where the bytes are none of the type."""
    if type_ not in _TEXTS and len(data) != 8:
        raise ValueError(f"{len(data)} bytes are no {type_}")
    return data if type_ in _TEXTS else _Reader(data).number(type_)


def decode(data: bytes, type_: Type) -> Value:
    """The value. Raises `ValueError` where the bytes are none of the type."""
    reader = _Reader(data)
    value = reader.value(type_)
    if reader.rest:
        raise ValueError(f"{len(reader.rest)} bytes too many for {type_}")
    return value


def _inner_key(key: Value, type_: Type) -> bytes:
    if type_ in _TEXTS:
        return _text(bytes(key))
    bits = float_bits(key if key != 0 else 0.0) if type_ == FLOAT else int(key) % 2**64
    return struct.pack("<Q", bits)


def _text(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        if size > len(self.rest):
            raise ValueError("the bytes are cut short")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def count(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def text(self) -> bytes:
        return self.take(self.count())

    def number(self, type_: Type) -> Value:
        data = self.take(8)
        if type_ == FLOAT:
            return struct.unpack("<d", data)[0]
        number = int.from_bytes(data, "little", signed=type_ == INT)
        return bool(number) if type_ == BOOL else number

    def value(self, type_: Type) -> Value:
        match type_:
            case PairType(first=first, second=second):
                return (self.value(first), self.value(second))
            case VecType(item=item):
                return [self.value(item) for _ in range(self.count())]
            case MapType(key=key, value=kept):
                return {self._key(key): self.value(kept) for _ in range(self.count())}
        if type_ in _TEXTS:
            return self.text()
        if type_ == BOOL:
            return self.take(1) == b"\1"
        if type_ in (INT, UINT, FLOAT, INSTANT):
            return self.number(type_)
        raise InternalError("state has values of this type", str(type_))

    def _key(self, type_: Type) -> Value:
        return self.text() if type_ in _TEXTS else self.number(type_)


# --- answers ---


@dataclass(frozen=True)
class Joined:
    """An instance has begun: which state there is, how far it is, and what it holds. ``last``: the number of the last
    batch of this instance that is in the store, ``taken`` which of its steps are; empty: all of them."""

    birth: bytes
    position: int
    last: int
    taken: tuple[bool, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Committed:
    """``others``: the changes of others that came before, None where nobody was faster; ``taken``: which steps of the
    batch are in the store then, for they have touched nothing that others changed."""

    position: int
    others: tuple[Change, ...] | None = None
    taken: tuple[bool, ...] = ()


class StateRefusedError(ValueError):
    """The store has state that cannot be gone on with; the text says why."""


def read_joined(answer: bytes) -> Joined:
    """The answer to ``join``. Raises `StateRefusedError`."""
    reader = _Reader(answer)
    if reader.take(1) != b"\0":
        raise StateRefusedError(reader.rest.decode("utf-8", "replace"))
    birth, position, last = reader.text(), *(int.from_bytes(reader.take(8), "little") for _ in range(2))
    return Joined(birth, position, last, _digits(reader), tuple(decode_changes(reader.rest)))


def read_committed(answer: bytes) -> Committed | None:
    """The answer to ``commit``; None: the instance has to join again."""
    reader = _Reader(answer)
    status = reader.take(1)[0]
    if status == 2:
        return None
    position = int.from_bytes(reader.take(8), "little")
    if status == 0:
        return Committed(position)
    taken = _digits(reader)
    return Committed(position, tuple(decode_changes(reader.rest)), taken)


def _digits(reader: _Reader) -> tuple[bool, ...]:
    return tuple(it == ord("1") for it in reader.text())
