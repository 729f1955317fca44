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
    message = proto.message_class(schema.full_name)()
    for path, value in fields.items():
        _put(message, path, value, schema.fields[path].type)
    return message.SerializeToString(deterministic=True)


def decode(body: bytes, schema: MessageSchema, proto: ProtoFile) -> Fields:
    """All fields that programs can use. Raises protobuf's ``DecodeError``."""
    message = proto.message_class(schema.full_name)()
    message.ParseFromString(body)
    return {path: _get(message, path, it.type) for path, it in schema.fields.items()}


def _put(message: Message, path: str, value: Value, type_: Type) -> None:
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    match type_:
        case VecType(item=item):
            getattr(message, last).extend(_to_protobuf(it, item) for it in value)
        case MapType(key=key, value=kept):
            getattr(message, last).update({_to_protobuf(k, key): _to_protobuf(it, kept) for k, it in value.items()})
        case _:
            setattr(message, last, _to_protobuf(value, type_))


def _to_protobuf(value: Value, type_: Type) -> Value:
    return value.decode() if type_ == STRING else value


def _get(message: Message, path: str, type_: Type) -> Value:
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    match type_:
        case VecType():
            return [_from_protobuf(it) for it in value]
        case MapType():
            return {_from_protobuf(key): _from_protobuf(it) for key, it in value.items()}
        case _:
            return _from_protobuf(value)


def _from_protobuf(value: Any) -> Value:
    return value.encode() if isinstance(value, str) else value
