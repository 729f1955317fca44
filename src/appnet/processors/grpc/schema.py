"""The messages of a chain's methods by what the chain says of them: enough for whoever has their bytes, but no .proto.

Strings are bytes here, and maps repeated entries, which they are on the wire: so their order can be seen.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from appnet.grpc.chain import ENTRIES, ITEMS, KEYED_MESSAGES, ONE, Side

_FieldProto = descriptor_pb2.FieldDescriptorProto
_FILE = "chain.proto"


@dataclass
class _Node:
    """A field, by what is known of it: a message unless it has a ``kind``."""

    kind: str = "message"
    many: int = ONE
    key_kind: str = ""
    packed: bool = False
    group: bool = False
    oneof: int = 0
    fields: dict[int, _Node] = field(default_factory=dict)


def message_class(*sides: Side) -> Any:
    """A class for messages of these sides, whose fields are called by their numbers; unknown ones are kept."""
    root = _Node()
    for side in sides:
        places: dict[int, _Node] = {}
        for index in range(len(side.fields)):
            _place(side, index, root, places)
    file = _FieldFile()
    file.message(file.proto.message_type.add(name="Message"), "Message", root)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file.proto)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("chain.Message"))


def _place(side: Side, index: int, root: _Node, places: dict[int, _Node]) -> _Node:
    if index in places:
        return places[index]
    table = side.fields[index]
    at = _place(side, table.within - 1, root, places) if table.within else root
    for level, number in enumerate(table.numbers):
        at = at.fields.setdefault(number, _Node())
        at.oneof = table.oneofs[level]
        at.group = bool(table.groups >> level & 1)
    at.kind, at.many, at.packed = table.kind, table.many, table.packed
    at.key_kind = table.key_kind if table.many in {ENTRIES, KEYED_MESSAGES} else ""
    places[index] = at
    return at


class _FieldFile:
    """A file of edition 2023, where every field says how it stands on the wire."""

    def __init__(self) -> None:
        self.proto = descriptor_pb2.FileDescriptorProto(
            name=_FILE, package="chain", syntax="editions", edition=descriptor_pb2.EDITION_2023
        )
        self._names = itertools.count(1)

    def message(self, message: Any, name: str, node: _Node) -> None:
        """Adds the fields of a message."""
        for number, it in node.fields.items():
            many = it.many != ONE
            added = message.field.add(name=f"f{number}", number=number, label=3 if many else 1)
            self._type(message, name, added, it)
            if it.oneof and not many:
                names = [one.name for one in message.oneof_decl]
                if f"o{it.oneof}" not in names:
                    names.append(message.oneof_decl.add(name=f"o{it.oneof}").name)
                added.oneof_index = names.index(f"o{it.oneof}")

    def _type(self, message: Any, name: str, added: Any, node: _Node) -> None:
        if node.many in {ENTRIES, KEYED_MESSAGES}:
            inner = f"M{next(self._names)}Entry"
            entry = message.nested_type.add(name=inner)
            added.type, added.type_name = _FieldProto.TYPE_MESSAGE, f".chain.{name}.{inner}"
            self._scalar(entry.field.add(name="key", number=1, label=1), node.key_kind)
            value = entry.field.add(name="value", number=2, label=1)
            if node.many == ENTRIES:
                self._scalar(value, node.kind)
            else:
                self._inner(entry, f"{name}.{inner}", value, node.fields.get(2, _Node()))
        elif node.kind == "message":
            self._inner(message, name, added, node)
        else:
            self._scalar(added, node.kind)
            if node.many == ITEMS and not node.packed and node.kind not in {"string", "bytes"}:
                added.options.features.repeated_field_encoding = descriptor_pb2.FeatureSet.EXPANDED

    def _inner(self, message: Any, name: str, added: Any, node: _Node) -> None:
        inner = f"M{next(self._names)}"
        added.type, added.type_name = _FieldProto.TYPE_MESSAGE, f".chain.{name}.{inner}"
        if node.group:
            added.options.features.message_encoding = descriptor_pb2.FeatureSet.DELIMITED
        self.message(message.nested_type.add(name=inner), f"{name}.{inner}", node)

    @staticmethod
    def _scalar(added: Any, kind: str) -> None:
        # An enum's numbers are an int32's on the wire, and a text need not be UTF-8.
        known = {"enum": "int32", "string": "bytes"}.get(kind, kind)
        added.type = _FieldProto.Type.Value(f"TYPE_{known.upper()}")
