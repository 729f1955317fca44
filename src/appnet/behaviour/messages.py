"""Messages between bytes and fields by path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from appnet.application.proto import ProtoFile
from appnet.behaviour.document import Fields
from appnet.interpret.values import Value
from appnet.language.messages import Field, MessageSchema
from appnet.language.types import STRING, MapType, VecType


def encode(fields: Fields, schema: MessageSchema, proto: ProtoFile) -> bytes:
    """The message with these fields. Of maps of messages, whose keys are not told, each has a key of its own."""
    message = proto.bytes_class(schema.full_name)()
    for path, value in fields.items():
        _put(message, schema, schema.field(path), value)
    return message.SerializeToString(deterministic=True)


def decode(body: bytes, schema: MessageSchema, proto: ProtoFile) -> Fields:
    """The fields that programs can use: all that the message has, and all that it cannot tell to be absent. Raises
    protobuf's ``DecodeError``.
    """
    message = proto.bytes_class(schema.full_name)()
    message.ParseFromString(body)
    found = {it.path: _get(message, it) for it in schema.all_fields()}
    return {path: value for path, value in found.items() if value is not None}


def _put(message: Message, schema: MessageSchema, field: Field, value: Value) -> None:
    *outer, last = field.path.split(".")
    if field.is_message:
        _make(message, schema, field, value)
    elif field.within:
        count = len(value) if not field.many else 1
        _make(message, schema, schema.messages[field.within], count)
        holders = _each(message, field)
        for holder, one in zip(holders, [value] if field.many else value, strict=False):
            _set(holder, last, one, field)
    else:
        for name in outer:
            message = getattr(message, name)
        _set(message, last, value, field)


def _make(message: Message, schema: MessageSchema, field: Field, count: int) -> None:
    """Has as many messages there as are asked for; the first of those around them has what is missing."""
    if not field.many:
        holder: Any = message
        for name in field.path.split("."):
            holder = getattr(holder, name)
        holder.SetInParent()
        return
    if field.within and count:
        _make(message, schema, schema.messages[field.within], 1)
    *outer, last = field.path.split(".")
    missing = count - len(_holders(message, field.path.split(".")))
    holder = _each(message, field)[0] if field.within and missing > 0 else message
    for name in () if field.within else outer:
        holder = getattr(holder, name)
    for number in range(missing):
        made = getattr(holder, last).add()
        if field.key_kind:
            made.key = str(number).encode() if field.key_kind == "string" else number


def _set(holder: Any, name: str, value: Value, field: Field) -> None:
    match field.type:
        case VecType() if field.many:
            getattr(holder, name).extend(value)
        case MapType(key=key):
            getattr(holder, name).update({it.decode() if key == STRING else it: value[it] for it in value})
        case _:
            setattr(holder, name, value)


def _get(message: Message, field: Field) -> Value | None:
    *outer, last = names = field.path.split(".")
    if field.is_message:
        count = len(_holders(message, names))
        return count if field.many else (True if count and not field.within else None)
    if field.within:
        values = [getattr(holder, last) for holder in _each(message, field)]
        return [it for value in values for it in value] if field.many else values
    holders = _holders(message, outer)
    if not holders or (field.presence and not holders[0].HasField(last)):
        return None
    value = getattr(holders[0], last)
    match field.type:
        case VecType():
            return list(value)
        case MapType():
            return {key.encode() if isinstance(key, str) else key: it for key, it in value.items()}
        case _:
            return value


def _holders(message: Any, names: Sequence[str]) -> list[Any]:
    """The messages at the end of a path: none where one on the way is not there. Maps of messages have entries, of
    which the last for each key counts."""
    held = [message]
    for number, name in enumerate(names):
        if name == "values" and number and _is_entry(held, names[number - 1]):
            held = [it.value for it in held]
            continue
        found: list[Any] = []
        for it in held:
            inner = getattr(it, name)
            if isinstance(inner, Message):
                found += [inner] if it.HasField(name) else []
            else:
                found += inner
        held = _living(found) if _is_entry(found, name) else found
    return held


def _is_entry(messages: Sequence[Any], name: str) -> bool:
    """Whether the messages are the entries of the map of this name, which its type is called by."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Entry"
    return bool(messages) and messages[0].DESCRIPTOR.name == camel


def _living(entries: Sequence[Any]) -> list[Any]:
    last = {entry.key: number for number, entry in enumerate(entries)}
    return [entry for number, entry in enumerate(entries) if last[entry.key] == number]


def _each(message: Message, field: Field) -> list[Any]:
    """What holds the field in each of the many messages that it stands within."""
    around = field.within.split(".")
    found = []
    for holder in _holders(message, around):
        inner: Any = holder
        for name in field.path.split(".")[len(around) : -1]:
            inner = getattr(inner, "value" if inner is holder and name == "values" else name)
        found.append(inner)
    return found
