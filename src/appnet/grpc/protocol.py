"""The messages of ``library.proto``, by which a process and a control plane talk, without a compiler of protobuf."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "appnet.library.v1"
FOLLOW = f"/{PACKAGE}.Library/Follow"

_Field = descriptor_pb2.FieldDescriptorProto
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Report": {
        "instance": (1, "string"), "service": (2, "string"), "server": (3, "bool"), "machine": (4, "string"),
        "release": (5, "string"), "node": (9, "string"), "version": (6, "string"), "accepted": (7, "bool"),
        "error": (8, "string"), "host": (10, "string"), "running": (11, "Running"),
    },
    "Running": {"node": (1, "string"), "version": (2, "string"), "digest": (3, "bytes")},
    "SignedVersion": {
        "version": (1, "bytes"), "signature": (2, "bytes"), "form": (3, "uint32"), "made": (4, "uint64"),
    },
    "Version": {
        "id": (1, "string"), "node": (2, "string"), "client": (3, "string"), "server": (4, "string"),
        "at_server": (5, "bool"), "chains": (6, "Chain"), "records": (7, "string"), "hosts": (8, "strings"),
        "application": (9, "string"),
    },
    "Chain": {
        "name": (1, "string"), "version": (2, "string"), "max_message": (3, "uint32"), "code": (4, "bytes"),
        "resource": (5, "bytes"), "trace_share": (6, "uint32"), "store": (7, "Store"),
    },
    "Store": {
        "path": (1, "string"), "host": (2, "string"), "port": (3, "uint32"), "user": (4, "string"),
        "password": (5, "string"), "database": (6, "uint32"), "scope": (7, "string"), "timeout_ms": (8, "uint32"),
        "merge_ms": (9, "uint32"), "script": (10, "bytes"),
    },
}  # fmt: skip


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="appnet/library.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            added = message.field.add(name=field, number=number)
            many = kind in {"strings", "Chain", "Running"}
            added.label = _Field.LABEL_REPEATED if many else _Field.LABEL_OPTIONAL
            if kind in _MESSAGES:
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                added.type = _Field.Type.Value(
                    f"TYPE_{kind.removesuffix('s').upper()}" if many else f"TYPE_{kind.upper()}"
                )
    return file


_pool = descriptor_pool.DescriptorPool()  # its own: a program may have read library.proto itself
_pool.Add(_file())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


Report, Running = _class("Report"), _class("Running")
SignedVersion, Version, Chain = _class("SignedVersion"), _class("Version"), _class("Chain")
