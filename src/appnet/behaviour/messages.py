"""Messages between bytes and fields by path, and how gRPC frames them."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from appnet.behaviour.document import Fields
from appnet.interpret.values import Value
from appnet.language.messages import MessageSchema
from appnet.language.types import STRING
from appnet.network.proto import ProtoFile

FRAME_SIZE = 5
"""Bytes before each message of a gRPC body: whether it is compressed, and its length."""


def encode(fields: Fields, schema: MessageSchema, proto: ProtoFile) -> bytes:
    """The message with these fields."""
    message = proto.message_class(schema.full_name)()
    for path, value in fields.items():
        _put(message, path, value.decode() if schema.fields[path].type == STRING else value)
    return message.SerializeToString(deterministic=True)


def decode(body: bytes, schema: MessageSchema, proto: ProtoFile) -> Fields:
    """All fields that programs can use. Raises protobuf's ``DecodeError``."""
    message = proto.message_class(schema.full_name)()
    message.ParseFromString(body)
    return {path: _get(message, path) for path in schema.fields}


def frame(message: bytes) -> bytes:
    """The message as a gRPC body."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _put(message: Message, path: str, value: Value) -> None:
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    setattr(message, last, value)


def _get(message: Message, path: str) -> Value:
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    return value.encode() if isinstance(value, str) else value
