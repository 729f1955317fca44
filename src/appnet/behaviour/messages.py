"""Messages between bytes and fields by path."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from appnet.application.proto import ProtoFile
from appnet.behaviour.document import Fields
from appnet.interpret.values import Value
from appnet.language.messages import MessageSchema
from appnet.language.types import STRING, MapType, Type, VecType


def encode(fields: Fields, schema: MessageSchema, proto: ProtoFile) -> bytes:
    """The message with these fields."""
    message = proto.bytes_class(schema.full_name)()
    for path, value in fields.items():
        _put(message, path, value, schema.fields[path].type)
    return message.SerializeToString(deterministic=True)


def decode(body: bytes, schema: MessageSchema, proto: ProtoFile) -> Fields:
    """All fields that programs can use. Raises protobuf's ``DecodeError``."""
    message = proto.bytes_class(schema.full_name)()
    message.ParseFromString(body)
    return {path: _get(message, path, it.type) for path, it in schema.fields.items()}


def _put(message: Message, path: str, value: Value, type_: Type) -> None:
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    match type_:
        case VecType():
            getattr(message, last).extend(value)
        case MapType(key=key):
            getattr(message, last).update({it.decode() if key == STRING else it: value[it] for it in value})
        case _:
            setattr(message, last, value)


def _get(message: Message, path: str, type_: Type) -> Value:
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    match type_:
        case VecType():
            return list(value)
        case MapType():
            return {key.encode() if isinstance(key, str) else key: it for key, it in value.items()}
        case _:
            return value
