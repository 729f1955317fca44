"""Messages by the schema of a method alone: what a host of decoded messages does by its own library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from appnet.interpret.values import Value
from appnet.language.messages import Field, MessageSchema
from appnet.language.types import STRING, MapType, VecType

_FieldProto = descriptor_pb2.FieldDescriptorProto


def decode(message: bytes, schema: MessageSchema) -> dict[str, Value]:
    """The fields that are there."""
    parsed = _class(schema).FromString(message)
    return {it.path: value for it in _used(schema) if (value := _read(parsed, it)) is not None}


def encode(message: bytes, written: Mapping[str, Value], schema: MessageSchema) -> bytes:
    """The message with these fields written."""
    if not written:
        return message
    changed = _class(schema).FromString(message)
    for path, value in written.items():
        *outer, last = [f"f{it}" for it in schema.fields[path].numbers]
        holder = changed
        for name in outer:
            holder = getattr(holder, name)
        if isinstance(schema.fields[path].type, VecType):
            del getattr(holder, last)[:]
            getattr(holder, last).extend(value)
        else:
            setattr(holder, last, value.decode() if schema.fields[path].type == STRING else value)
    return changed.SerializeToString(deterministic=True)


def _used(schema: MessageSchema) -> list[Field]:
    """The fields but for maps, groups and what is within many messages, which no element of these tests uses."""
    return [it for it in schema.fields.values() if not (isinstance(it.type, MapType) or it.groups or it.within)]


def _read(message: Any, field: Field) -> Value | None:
    *outer, last = [f"f{it}" for it in field.numbers]
    for name in outer:
        if not message.HasField(name):
            return None
        message = getattr(message, name)
    if isinstance(field.type, VecType):
        return [_plain(it) for it in getattr(message, last)]
    return _plain(getattr(message, last)) if message.HasField(last) else None


def _plain(value: Any) -> Value:
    return value.encode() if isinstance(value, str) else value


def _class(schema: MessageSchema) -> Any:
    """A message class of its own pool, whose fields are called by their numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="toy.proto", package="toy", syntax="proto2")
    top = file.message_type.add(name="Message")
    for field in _used(schema):
        _declare(top, field, field.numbers, "Message")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("toy.Message"))


def _declare(message: Any, field: Field, numbers: tuple[int, ...], name: str) -> None:
    first, *rest = numbers
    there = next((it for it in message.field if it.number == first), None)
    if rest:
        nested = f"{name}.N{first}"
        if there is None:
            message.nested_type.add(name=f"N{first}")
            message.field.add(name=f"f{first}", number=first, label=1, type=11, type_name=f".toy.{nested}")
        inner = next(it for it in message.nested_type if it.name == f"N{first}")
        _declare(inner, field, tuple(rest), nested)
        return
    many = isinstance(field.type, VecType)
    kind = "INT32" if field.kind == "enum" else field.kind.upper()
    message.field.add(
        name=f"f{first}", number=first, label=3 if many else 1, type=_FieldProto.Type.Value(f"TYPE_{kind}")
    )
