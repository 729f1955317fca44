"""Messages of sample.proto as bytes: written in every legal way, read by protobuf.

protobuf takes no string that is not UTF-8, so messages are read with a twin of sample.proto that has bytes instead,
and repeated entries instead of maps, which they are on the wire: so the order of keys can be seen.
"""

from __future__ import annotations

import math
import random
import re
import struct
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.language.messages import Field
from appnet.language.types import MapType, VecType
from tests.support.sample import SAMPLE
from tests.support.traffic import Fields, make_field

_MAP = re.compile(r"map<(\w+), (\w+)> (\w+) = (\d+);")
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MASK = 2**64 - 1
_PACK = {"fixed32": "<I", "sfixed32": "<i", "float": "<f", "fixed64": "<Q", "sfixed64": "<q", "double": "<d"}


@cache
def message_class(full_name: str) -> type[Message]:
    """The class of `sample.Ask` or `sample.Answer`, with bytes for strings."""
    text = Path(__file__).with_name("sample.proto").read_text()
    text = _MAP.sub(r"message \3Entry { \1 key = 1; \2 value = 2; } repeated \3Entry \3 = \4;", text)
    text = text.replace("string ", "bytes ")
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder, "twin.proto")
        twin.write_text(text)
        return load_proto(FileSource(twin)).message_class(full_name)


def parse(body: bytes, full_name: str) -> Message:
    """The message that protobuf reads."""
    message = message_class(full_name)()
    message.ParseFromString(body)
    return message


def fields_of(body: bytes, full_name: str) -> Fields:
    """Every field of the message that programs can use, by path, absent ones with their defaults."""
    message = parse(body, full_name)
    return {path: _get(message, path) for path in SAMPLE.request.fields}


def put(message: Message, path: str, value: Any) -> None:
    """Sets the field of this path."""
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
        if any(SAMPLE.request.fields[path].oneofs):
            message.SetInParent()  # even where nothing is set in it, it is the member that counts
    if isinstance(value, list):
        getattr(message, last)[:] = value
    elif isinstance(value, dict):
        message.ClearField(last)
        for key, it in value.items():
            getattr(message, last).add(key=key, value=it)
    else:
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
    copy.ratios[:] = [math.nan if math.isnan(it) else it for it in copy.ratios]
    for entry in copy.weights:
        entry.value = math.nan if math.isnan(entry.value) else entry.value
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
    if isinstance(SAMPLE.request.fields[path].type, MapType):
        keys = reversed(dict.fromkeys(it.key for it in reversed(value)))  # a key counts where it comes last
        last = {it.key: it.value for it in value}
        return {key: last[key] for key in keys}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, bytes) else value


# --- writing ---------------------------------------------------------------------------------


def encode(source: random.Random, fields: Fields) -> bytes:
    """The message in one of its many encodings.

    Fields stand in any order among unknown, repeated and map fields; some stand twice, and the last counts;
    a nested message may come in pieces; varints may be longer than need be.
    """
    stale = [path for path in fields if source.random() < 0.1]
    early = [it for path in stale for it in _records(source, path, make_field(source, SAMPLE.request.fields[path]))]
    late = [it for path, value in fields.items() if "." not in path for it in _records(source, path, value)]
    for number in {SAMPLE.request.fields[path].numbers[0] for path in fields if "." in path}:
        nested = {
            path: it for path, it in fields.items() if "." in path and number in SAMPLE.request.fields[path].numbers
        }
        whole = source.random() < 0.5
        parts = [it for path, value in nested.items() for it in _records(source, path, value, skip=int(whole))]
        source.shuffle(parts)
        late += [_delimited(number, b"".join(parts))] if whole else parts
    others = [_other(source) for _ in range(source.choice((0, 0, 1, 4)))]
    source.shuffle(late)
    for other in others:
        late.insert(source.randint(0, len(late)), other)
    return b"".join(early + late)


def _other(source: random.Random) -> bytes:
    """A field that programs cannot use, or that the .proto does not know."""
    return source.choice(
        (
            _delimited(32, _delimited(1, b"inner of its own")),
            _tag(100, _VARINT) + _varint(source.getrandbits(64)),
            _delimited(101, source.randbytes(source.choice((0, 1, 200)))),
            _tag(102, _FIXED32) + source.randbytes(4),
            _tag(2**29 - 1, _FIXED64) + source.randbytes(8),
            _tag(104, 3) + _delimited(1, b"in a group") + _tag(104, 4),
        )
    )


def _records(source: random.Random, path: str, value: Any, skip: int = 0) -> list[bytes]:
    """The field as records, each in its submessages but for the outermost ``skip``; a Vec or a Map has any number."""
    used = SAMPLE.request.fields[path]
    *outer, number = used.numbers
    match used.type:
        case VecType() if used.kind in ("string", "bytes") or source.random() < 0.5:
            records = [_leaf(source, number, used.kind, it) for it in value]
        case VecType():
            cut = source.randint(0, len(value))
            bare = [_bare(source, used.kind, it) for it in value]
            records = [_delimited(number, b"".join(part)) for part in (bare[:cut], bare[cut:])]
        case MapType():
            records = [_delimited(number, _entry(source, used, key, it)) for key, it in value.items()]
        case _:
            records = [_leaf(source, number, used.kind, value)]
    for around in reversed(outer[skip:]):
        records = [_delimited(around, record) for record in records]
    return records


def _entry(source: random.Random, used: Field, key: Any, value: Any) -> bytes:
    parts = [_leaf(source, 1, used.key_kind, key), _leaf(source, 2, used.kind, value)]
    parts = [part for part, it in zip(parts, (key, value), strict=True) if it or source.random() < 0.5]
    if source.random() < 0.2:
        parts.append(_tag(3, _VARINT) + _varint(7))
    return b"".join(source.sample(parts, len(parts)))


def _leaf(source: random.Random, number: int, kind: str, value: Any) -> bytes:
    if kind in ("string", "bytes"):
        return _delimited(number, value)
    wire_type = _VARINT if kind not in _PACK else _FIXED32 if struct.calcsize(_PACK[kind]) == 4 else _FIXED64
    return _tag(number, wire_type) + _bare(source, kind, value)


def _bare(source: random.Random, kind: str, value: Any) -> bytes:
    """A number without its tag."""
    if kind in _PACK:
        return struct.pack(_PACK[kind], value)
    if kind.startswith("sint"):
        value = (value << 1) ^ (value >> 63)
    return _varint(value & _MASK, source.choice((0, 0, 0, 2)))


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
