"""Messages of sample.proto as bytes: written in every legal way, read by protobuf.

protobuf takes no string that is not UTF-8, so messages are read with a twin of sample.proto that has bytes instead.
"""

from __future__ import annotations

import math
import random
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from appnet.network.proto import load_proto
from tests.support.sample import SAMPLE
from tests.support.traffic import Fields, make_value

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MASK = 2**64 - 1
_PACK = {"fixed32": "<I", "sfixed32": "<i", "float": "<f", "fixed64": "<Q", "sfixed64": "<q", "double": "<d"}


@cache
def message_class(full_name: str) -> type[Message]:
    """The class of `sample.Ask` or `sample.Answer`, with bytes for strings."""
    text = Path(__file__).with_name("sample.proto").read_text().replace("string ", "bytes ")
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder, "twin.proto")
        twin.write_text(text)
        return load_proto(twin).message_class(full_name)


def parse(body: bytes, full_name: str) -> Message:
    """The message that protobuf reads."""
    message = message_class(full_name)()
    message.ParseFromString(body)
    return message


def fields_of(message: Message) -> Fields:
    """Every field that programs can use, by path, absent ones with their defaults."""
    return {path: _get(message, path) for path in SAMPLE.request.fields}


def put(message: Message, path: str, value: Any) -> None:
    """Sets the field of this path."""
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    setattr(message, last, value)


def same(a: Message, b: Message) -> bool:
    """Whether two messages have the same fields, unknown ones too; NaNs are all the same."""
    return _bytes_of(a) == _bytes_of(b)


def _bytes_of(message: Message) -> bytes:
    copy = type(message)()
    copy.CopyFrom(message)
    for path in ("narrow", "ratio"):
        if math.isnan(getattr(copy, path)):
            setattr(copy, path, math.nan)
    for outer in ("inner.deep", "inner"):  # an empty message and none read the same
        holder, _, name = outer.rpartition(".")
        parent = getattr(copy, holder) if holder else copy
        if (not holder or copy.HasField(holder)) and not getattr(parent, name).ByteSize():
            parent.ClearField(name)
    return copy.SerializeToString(deterministic=True)


def _get(message: Message, path: str) -> Any:
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    return value


# --- writing ---------------------------------------------------------------------------------


def encode(source: random.Random, fields: Fields) -> bytes:
    """The message in one of its many encodings.

    Fields stand in any order among unknown, repeated and map fields; some stand twice, and the last counts;
    a nested message may come in pieces; varints may be longer than need be.
    """
    stale = [path for path in fields if source.random() < 0.1]
    early = [_record(source, path, make_value(source, SAMPLE.request.fields[path].kind)) for path in stale]
    late = [_record(source, path, value) for path, value in fields.items() if "." not in path]
    nested = [(path, value) for path, value in fields.items() if "." in path]
    if source.random() < 0.5:
        late += [_record(source, path, value) for path, value in nested]
    elif nested:
        parts = [_record(source, path, value, skip=1) for path, value in nested]
        late.append(_delimited(13, b"".join(source.sample(parts, len(parts)))))
    others = [_other(source) for _ in range(source.choice((0, 0, 1, 4)))]
    source.shuffle(late)
    for other in others:
        late.insert(source.randint(0, len(late)), other)
    return b"".join(early + late)


def _other(source: random.Random) -> bytes:
    """A field that programs cannot use, or that the .proto does not know."""
    return source.choice(
        (
            _delimited(30, b"tag"),
            _delimited(31, _delimited(1, b"key") + _tag(2, _VARINT) + _varint(7)),
            _delimited(32, _delimited(1, b"inner of its own")),
            _tag(100, _VARINT) + _varint(source.getrandbits(64)),
            _delimited(101, source.randbytes(source.choice((0, 1, 200)))),
            _tag(102, _FIXED32) + source.randbytes(4),
            _tag(2**29 - 1, _FIXED64) + source.randbytes(8),
            _tag(104, 3) + _delimited(1, b"in a group") + _tag(104, 4),
        )
    )


def _record(source: random.Random, path: str, value: Any, skip: int = 0) -> bytes:
    used = SAMPLE.request.fields[path]
    *outer, number = used.numbers
    record = _leaf(source, number, used.kind, value)
    for around in reversed(outer[skip:]):
        record = _delimited(around, record)
    return record


def _leaf(source: random.Random, number: int, kind: str, value: Any) -> bytes:
    if kind in ("string", "bytes"):
        return _delimited(number, value)
    if kind in _PACK:
        packed = struct.pack(_PACK[kind], value)
        return _tag(number, _FIXED32 if len(packed) == 4 else _FIXED64) + packed
    if kind.startswith("sint"):
        value = (value << 1) ^ (value >> 63)
    padding = source.choice((0, 0, 0, 2))
    return _tag(number, _VARINT) + _varint(value & _MASK, padding)


def _delimited(number: int, content: bytes) -> bytes:
    return _tag(number, _LENGTH) + _varint(len(content)) + content


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int, padding: int = 0) -> bytes:
    """The varint, followed by up to ``padding`` bytes that mean nothing, within ten."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(min(padding, 10 - len(out))):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)
