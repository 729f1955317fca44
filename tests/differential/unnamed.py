"""Numbers that closed enums have no name for. protobuf in Go reads them as values of the field, and elsewhere they are
unknown fields: so the Go module gets messages without them, and what it makes of a message gets them back."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.sample import SAMPLE

_VARINT, _FIXED64, _LENGTH, _GROUP, _GROUP_END, _FIXED32 = range(6)
_KNOWN = {it.numbers[0] for it in SAMPLE.request.all_fields()}
_CLOSED = {
    it.numbers[0]: frozenset(it.names) for it in SAMPLE.request.all_fields() if it.names and len(it.numbers) == 1
}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, wire type and bytes of each record."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        at = _behind(data, at, tag)
        yield tag >> 3, tag & 7, data[start:at]


def _behind(data: bytes, at: int, tag: int) -> int:
    kind = tag & 7
    if kind == _VARINT:
        return _varint(data, at)[1]
    if kind == _LENGTH:
        size, at = _varint(data, at)
        return at + size
    if kind == _GROUP:
        while True:
            inner, at = _varint(data, at)
            if inner & 7 == _GROUP_END:
                return at
            at = _behind(data, at, inner)
    return at + (8 if kind == _FIXED64 else 4)


def _enum_values(kind: int, raw: bytes) -> list[int]:
    _, at = _varint(raw, 0)
    if kind == _VARINT:
        return [_varint(raw, at)[0]]
    _, at = _varint(raw, at)
    found = []
    while at < len(raw):
        value, at = _varint(raw, at)
        found.append(value)
    return found


def _named(number: int, value: int) -> bool:
    return (value if value < 2**63 else value - 2**64) in _CLOSED[number]


def _written(number: int, value: int) -> bytes:
    out = bytearray()
    for whole in (number << 3, value):
        left = whole
        while left > 0x7F:
            out.append(left & 0x7F | 0x80)
            left >>= 7
        out.append(left)
    return bytes(out)


def _apart(body: bytes) -> tuple[list[bytes], list[bytes]]:
    """What Go reads as others do, record by record, and what is unknown to others."""
    known, unknown = [], []
    for number, kind, raw in _records(body):
        if number in _CLOSED and kind in {_VARINT, _LENGTH}:
            for value in _enum_values(kind, raw):
                (known if _named(number, value) else unknown).append(_written(number, value))
        else:
            (known if number in _KNOWN else unknown).append(raw)
    return known, unknown


def without_unnamed(body: bytes) -> bytes:
    """The message without numbers that have no name."""
    known, unknown = _apart(body)
    others = [raw for raw in unknown if next(_records(raw))[0] not in _CLOSED]
    return b"".join([*known, *others])


def with_unnamed(made: bytes, body: bytes) -> bytes:
    """What was made of such a message, with what it had; unknown fields in the order in which they were."""
    known, unknown = _apart(made)
    _, had = _apart(body)
    assert sorted(unknown) == sorted(raw for raw in had if next(_records(raw))[0] not in _CLOSED)
    return b"".join([*known, *had])
