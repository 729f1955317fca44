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
from appnet.language.messages import Field, MessageSchema
from appnet.language.types import MapType, VecType
from tests.support.sample import SAMPLE
from tests.support.traffic import Fields, make_field, make_value

_MAP = re.compile(r"map<(\w+), (\w+)> (\w+) = (\d+);")
_VARINT, _FIXED64, _LENGTH, _GROUP, _GROUP_END, _FIXED32 = 0, 1, 2, 3, 4, 5
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
    """Every field of the message that programs can use, by path; absent ones are left out where that can be told."""
    return fields_in(parse(body, full_name), SAMPLE.request)


def fields_in(message: Message, schema: MessageSchema) -> Fields:
    """Every field of the message that programs can use, likewise."""
    return {it.path: value for it in schema.all_fields() if (value := _get(message, it)) is not None}


def _holders(message: Any, names: Sequence[str]) -> list[Any]:
    """The messages at the end of a path: none where one on the way is not there; of a map, the last for each key."""
    held = [message]
    for name, following in zip(names, [*names, ""][1:], strict=True):
        if name == "values":
            held = [it.value for it in held]
            continue
        found: list[Any] = []
        for it in held:
            inner = getattr(it, name)
            if not isinstance(inner, Message):
                found += _living(inner) if following == "values" or _is_map(inner) else list(inner)
            elif it.HasField(name):
                found.append(inner)
        held = found
    return held


def _is_map(items: Any) -> bool:
    return any(type(it).DESCRIPTOR.name.endswith("Entry") for it in items)


def _living(entries: Any) -> list[Any]:
    """Those that count, the last for each key, in order."""
    return list({entry.key: entry for entry in sorted_by_last(entries)}.values())


def sorted_by_last(entries: Any) -> list[Any]:
    """One entry for each key, in the order in which keys were last set."""
    last = {entry.key: number for number, entry in enumerate(entries)}
    return [entry for number, entry in enumerate(entries) if last[entry.key] == number]


def _get(message: Any, field: Field) -> Any:
    names = field.path.split(".")
    if field.is_message:
        count = len(_holders(message, names))
        return count if field.many else True if count and not field.within else None
    *outer, last = names
    holders = _holders(message, outer)
    if field.within:
        values = [getattr(it, last) for it in _each(message, field)]
        return [it for value in values for it in value] if field.many else values
    if not holders or (field.presence and not holders[0].HasField(last)):
        return None
    value = getattr(holders[0], last)
    if isinstance(field.type, MapType):
        return {it.key: it.value for it in sorted_by_last(value)}
    return list(value) if isinstance(field.type, VecType) else value


def _each(message: Any, field: Field, *, make: bool = False) -> list[Any]:
    """What holds the field in each of the many messages that it stands within: where it has none, an empty one."""
    many = field.within.split(".")
    inner = field.path.split(".")[len(many) : -1]
    found = []
    for it in _holders(message, many):
        held = it
        for name in inner:
            held = getattr(held, "value" if name == "values" else name)
            if make:
                held.SetInParent()
        found.append(held)
    return found


def put(message: Message, path: str, value: Any, schema: MessageSchema = SAMPLE.request) -> None:
    """Sets the field of this path; of one that stands within many messages, in each."""
    field = schema.fields[path]
    if field.within:
        _put_each(message, field, value)
        return
    *outer, last = path.split(".")
    if value in ([], {}) and not field.oneofs and not _holders(message, outer):
        return
    for name in outer:
        message = getattr(message, name)
        message.SetInParent()  # even where nothing is set in it
    if isinstance(value, list):
        getattr(message, last)[:] = value
    elif isinstance(value, dict):
        message.ClearField(last)
        for key, it in value.items():
            getattr(message, last).add(key=key, value=it)
    else:
        setattr(message, last, value)


def _put_each(message: Message, field: Field, value: list[Any]) -> None:
    last, left = field.path.split(".")[-1], list(value)
    for holder in _each(message, field, make=not field.many):
        if not field.many:
            setattr(holder, last, left.pop(0))
            continue
        count = len(getattr(holder, last))
        if count:  # nothing is made for nothing
            getattr(holder, last)[:] = left[:count]
            del left[:count]
    assert not left


def take_away(message: Message, path: str, schema: MessageSchema = SAMPLE.request) -> None:
    """Clears the field of this path; within many messages, in each."""
    field = schema.field(path)
    *outer, last = path.split(".")
    for holder in _each(message, field) if field.within else _holders(message, outer):
        holder.ClearField(last)


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
    return copy.SerializeToString(deterministic=True)


# --- writing ---------------------------------------------------------------------------------


def encode(source: random.Random, fields: Fields) -> bytes:
    """The message in one of its many encodings.

    Fields stand in any order among unknown ones; some stand twice, and the last counts; a nested message may come in
    pieces; varints may be longer than need be; closed enums have numbers that they have no name for.
    """
    return _encode(source, fields, "", 0)


def _encode(source: random.Random, fields: Fields, within: str, start: int) -> bytes:
    """One of the many messages at the path ``within``, whose fields have ``start`` numbers before their own."""
    own = [SAMPLE.request.field(path) for path in fields if SAMPLE.request.field(path).within == within]
    early = [
        it
        for used in own
        if not used.is_message and source.random() < 0.1
        for it in _records(source, used, _stale(source, used), start)
    ]
    late = [it for used in own if len(used.numbers) == start + 1 for it in _of(source, used, fields, start)]
    nested = [used for used in own if len(used.numbers) > start + 1]
    for number in dict.fromkeys(used.numbers[start] for used in nested):
        inside = [used for used in nested if used.numbers[start] == number]
        whole = source.random() < 0.5
        parts = [it for used in inside for it in _of(source, used, fields, start, skip=int(whole))]
        source.shuffle(parts)
        late += [_around(inside[0], start, b"".join(parts))] if whole else parts
    for other in [_other(source) for _ in range(source.choice((0, 0, 1, 4)))]:
        late.insert(source.randint(0, len(late)), other)
    source.shuffle(late)
    return b"".join(early + late)


def _stale(source: random.Random, used: Field) -> Any:
    """A value that is there no more."""
    if not used.within or used.many:
        return make_field(source, used)
    return make_value(source, used.kind, used.names)


def _other(source: random.Random) -> bytes:
    """A field that the .proto does not know, or that has a number without a name."""
    return source.choice(
        (
            _tag(65, _VARINT) + _varint(7),
            _tag(66, _VARINT) + _varint(source.choice((7, 9))),
            _delimited(66, b"\2\5\11"),
            _tag(44, _VARINT) + _varint(1),
            _tag(100, _VARINT) + _varint(source.getrandbits(64)),
            _delimited(101, source.randbytes(source.choice((0, 1, 200)))),
            _tag(102, _FIXED32) + source.randbytes(4),
            _tag(2**29 - 1, _FIXED64) + source.randbytes(8),
            _tag(104, _GROUP) + _delimited(1, b"in a group") + _tag(104, _GROUP_END),
        )
    )


def _of(source: random.Random, used: Field, fields: Fields, start: int, skip: int = 0) -> list[bytes]:
    """The field as records, each in its submessages but for the outermost ``skip``."""
    if not used.is_message:
        value = fields[used.path]
        if used.within and not used.many:
            (value,) = value  # of one of many messages
        return _records(source, used, value, start, skip)
    if not used.many:
        return [_wrapped(used, _around(used, len(used.numbers) - 1, b""), start, skip)]
    keys = _keys(source, used, fields[used.path])
    items = _divided(source, used.path, fields)
    records = []
    for key, item in zip(keys, items, strict=True):
        content = _encode(source, item, used.path, len(used.numbers))
        if used.key_kind:
            parts = [_leaf(source, 1, used.key_kind, key), *_split(source, content)]
            content = b"".join(parts)
        records.append(_around(used, len(used.numbers) - 1, content))
    if used.key_kind and records and source.random() < 0.2:
        records.insert(0, _around(used, len(used.numbers) - 1, _leaf(source, 1, used.key_kind, source.choice(keys))))
    return [_wrapped(used, record, start, skip) for record in records]


def _split(source: random.Random, content: bytes) -> list[bytes]:
    """What stands in an entry of a map: its value, or nothing, which is the same as an empty one."""
    return [content] if content or source.random() < 0.5 else []


def _keys(source: random.Random, used: Field, count: int) -> list[Any]:
    keys: dict[Any, None] = {}
    while used.key_kind and len(keys) < count:
        keys[make_value(source, used.key_kind)] = None
    return list(keys) or [None] * count


def _divided(source: random.Random, path: str, fields: Fields) -> list[Fields]:
    """The fields of each of the many messages at the path."""
    count = fields[path]
    items: list[Fields] = [{} for _ in range(count)]
    inside = [SAMPLE.request.field(it) for it in fields if SAMPLE.request.field(it).is_inside(path) and it != path]
    for used in (it for it in inside if it.within == path):
        value = fields[used.path]
        cuts = sorted(source.randint(0, value if used.is_message else len(value)) for _ in range(count - 1))
        for number, item in enumerate(items):
            first, last = [0, *cuts][number], [*cuts, value if used.is_message else len(value)][number]
            if used.is_message and used.many:
                item[used.path] = last - first
                item |= {
                    it.path: fields[it.path][first:last]
                    for it in inside
                    if it.within == used.path and not it.many and not it.is_message
                }
            elif used.many:
                item[used.path] = value[first:last]
            elif not used.is_message and source.random() < 0.9:
                item[used.path] = [value[number]]
    return items


def _records(source: random.Random, used: Field, value: Any, start: int = 0, skip: int = 0) -> list[bytes]:
    """The field as records, each in its submessages but for the outermost ``skip``; a Vec or a Map has any number."""
    number = used.numbers[-1]
    match used.type:
        case VecType() if used.many and (used.kind in ("string", "bytes") or source.random() < 0.5):
            records = [_leaf(source, number, used.kind, it) for it in value]
        case VecType() if used.many:
            cut = source.randint(0, len(value))
            bare = [_bare(source, used.kind, it) for it in value]
            records = [_delimited(number, b"".join(part)) for part in (bare[:cut], bare[cut:])]
        case MapType():
            records = [_delimited(number, _entry(source, used, key, it)) for key, it in value.items()]
        case _:
            records = [_leaf(source, number, used.kind, value)]
    return [_wrapped(used, record, start, skip) for record in records]


def _wrapped(used: Field, record: bytes, start: int, skip: int) -> bytes:
    """The record in the messages around it, from ``start`` on but for the outermost ``skip``."""
    for level in reversed(range(start + skip, len(used.numbers) - 1)):
        record = _around(used, level, record)
    return record


def _around(used: Field, level: int, content: bytes) -> bytes:
    """The message of the field's number at the level, with this in it."""
    number = used.numbers[level]
    if used.groups and used.groups[level]:
        return _tag(number, _GROUP) + content + _tag(number, _GROUP_END)
    return _delimited(number, content)


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
