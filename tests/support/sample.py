"""sample.proto as programs see it: the signature of ``/sample.Probe/Call``."""

from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, Type

_TYPES: dict[str, Type] = {
    "string": STRING,
    "bytes": BYTES,
    "int32": INT,
    "int64": INT,
    "sint32": INT,
    "sint64": INT,
    "sfixed32": INT,
    "sfixed64": INT,
    "enum": INT,
    "uint32": UINT,
    "uint64": UINT,
    "fixed32": UINT,
    "fixed64": UINT,
    "float": FLOAT,
    "double": FLOAT,
    "bool": BOOL,
}

_FIELDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "text": ("string", (1,)),
    "blob": ("bytes", (2,)),
    "small": ("int32", (3,)),
    "count": ("int64", (4,)),
    "port": ("uint32", (5,)),
    "big": ("uint64", (6,)),
    "swing": ("sint32", (7,)),
    "sway": ("sint64", (8,)),
    "narrow": ("float", (9,)),
    "ratio": ("double", (10,)),
    "yes": ("bool", (11,)),
    "level": ("enum", (12,)),
    "inner.name": ("string", (13, 1)),
    "inner.depth": ("int64", (13, 2)),
    "inner.deep.word": ("string", (13, 2047, 15)),
    "inner.deep.weight": ("uint32", (13, 2047, 16)),
    "plain": ("fixed32", (14,)),
    "wide": ("fixed64", (15,)),
    "drop": ("sfixed32", (16,)),
    "fall": ("sfixed64", (17,)),
    "extra": ("string", (18,)),
}


def _schema(name: str) -> MessageSchema:
    fields = {path: Field(path, _TYPES[kind], numbers, kind) for path, (kind, numbers) in _FIELDS.items()}
    return MessageSchema(name, fields)


SAMPLE = MethodSignature("/sample.Probe/Call", _schema("sample.Ask"), _schema("sample.Answer"))
