"""Where the fields of a message lie in memory, as mRPC's generated Rust structs have them.

mRPC turns each message into a ``repr(C)`` struct whose fields are in the order of the .proto. Numbers lie there as they
are, an optional one as ``Option``, texts and repeated fields as a vector of mRPC's own: a pointer for the application,
one for its engines, how many items there is room for, and how many there are. A message in a message is an ``Option``
of its struct, in place.

``repr(C)`` fixes the order, but nothing fixes how ``Option`` says that there is a value. These tables follow what rustc
does: it takes a value that the type never has (its largest niche), or else puts a number in front. `CONVENTIONS` go
along, and whoever follows the tables probes them first.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from appnet.processors.mrpc.bincode import Reader, Writer

IMPLICIT, OPTIONAL, REPEATED, REQUIRED = range(4)
"""Whether a message can tell that it has a field, and how many values there are."""

KINDS = (
    "bool", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "enum", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "float", "double", "string", "bytes", "message",
)  # fmt: skip
"""Kinds of fields by their numbers in ``an_field_kind`` of ``chain.h``."""

_KIND_OF = {
    **{getattr(FieldDescriptor, f"TYPE_{it.upper()}"): it for it in KINDS},
    FieldDescriptor.TYPE_GROUP: "group",
}
_WIDTHS = {
    "bool": 1, "float": 4, "double": 8, "enum": 4,
    **{f"{sign}{width}": width // 8 for sign in ("int", "uint", "sint", "fixed", "sfixed") for width in (32, 64)},
}  # fmt: skip
_LISTS = frozenset(("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes", "message"))
"""What mRPC can send any number of."""

_WORD = 8
_NO_MESSAGE = 2**32 - 1


class UnsupportedError(ValueError):
    """mRPC's structs have no such field. ``path``: of the field, from its message inwards."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path, self.why = path, why


@dataclass(frozen=True)
class Niche:
    """Values that a word of a type never has, of which rustc takes the first for ``None``.

    The word: ``size`` bytes at ``offset``. The values: ``available`` many from ``start`` on.
    """

    offset: int
    size: int
    start: int
    available: int


@dataclass(frozen=True)
class Shape:
    """A type: its size and alignment in bytes, and its largest niche."""

    size: int
    align: int
    niche: Niche | None = None


@dataclass(frozen=True)
class Presence:
    """The word that says whether there is a value: that it is not ``absent``. ``tagged``: it says nothing else, and is
    ``present`` where there is one. No word: there always is."""

    offset: int = 0
    size: int = 0
    absent: int = 0
    present: int = 0
    tagged: bool = False

    def write(self, writer: Writer) -> None:
        """As bundles have it."""
        writer.u32(self.offset).u8(self.size).u64(self.absent).u64(self.present).bool(self.tagged)


ALWAYS = Presence()


@dataclass(frozen=True)
class OptionShape:
    """``Option`` of a type: where its value lies, and how to tell that there is one."""

    shape: Shape
    value: int
    presence: Presence


VEC = Shape(4 * _WORD, _WORD, Niche(0, _WORD, 0, 1))
"""A text or a repeated field: the application's pointer is never null."""

APP, BACKEND, CAPACITY, LENGTH = (number * _WORD for number in range(4))
"""Where its words lie."""


def option(inner: Shape) -> OptionShape:
    """What rustc makes of ``Option`` of a type."""
    niche = inner.niche
    if niche is not None:
        left = Niche(niche.offset, niche.size, niche.start + 1, niche.available - 1) if niche.available > 1 else None
        shape = Shape(inner.size, inner.align, left)
        return OptionShape(shape, 0, Presence(niche.offset, niche.size, niche.start, 0, tagged=False))
    # A tag as large as the alignment; the value behind it.
    tag = min(inner.align, _WORD)
    size = -(-(tag + inner.size) // inner.align) * inner.align
    shape = Shape(size, inner.align, Niche(0, tag, 2, 2 ** (8 * tag) - 2))
    return OptionShape(shape, tag, Presence(0, tag, 0, 1, tagged=True))


def scalar(kind: str) -> Shape:
    """A number or a text."""
    width = _WIDTHS.get(kind)
    if width is None:
        return VEC
    return Shape(width, width, Niche(0, 1, 2, 254) if kind == "bool" else None)


CONVENTIONS = {kind: option(scalar(kind)) for kind in ("bool", "int32", "int64", "uint32", "uint64", "float", "double",
                                                       "string")}  # fmt: skip
"""What is taken for granted of ``Option``, and probed."""


@dataclass(frozen=True)
class FieldLayout:
    """A field. ``message``: the full name of the message that it has. ``default``: what it reads as where it is absent:
    8 bytes of a number, or a text; empty: zero."""

    number: int
    name: str
    kind: str
    label: int
    packed: bool
    offset: int
    message: str = ""
    presence: Presence = ALWAYS
    default: bytes = b""


@dataclass(frozen=True)
class Layout:
    """A message, by its full name."""

    name: str
    shape: Shape
    fields: tuple[FieldLayout, ...]


@dataclass
class Layouts:
    """The messages of methods, each before those that it holds, and of each method's path the names of its request and
    its response."""

    methods: dict[str, tuple[str, str]]
    messages: list[Layout] = field(default_factory=list)

    def write(self, writer: Writer) -> None:
        """As bundles have them."""
        for word in (VEC.size, VEC.align, APP, BACKEND, CAPACITY, LENGTH):
            writer.u32(word)
        writer.list(CONVENTIONS.items(), lambda to, it: _write_option(to, *it))
        writer.list(self.messages, self._write_message)

    @staticmethod
    def pass_over(reader: Reader) -> None:
        """Reads what `write` writes, and makes nothing of it. Raises `ValueError` where it is something else."""
        reader.raw(_SIZE_OF_CONVENTIONS)
        reader.list(lambda it: it.raw(_SIZE_OF_OPTION))
        reader.list(lambda it: (it.text(), it.raw(_SIZE_OF_SHAPE), it.list(_pass_field)))

    def index(self, name: str) -> int:
        """The place of a message."""
        return next(number for number, it in enumerate(self.messages) if it.name == name)

    def _write_message(self, writer: Writer, it: Layout) -> None:
        writer.text(it.name).u32(it.shape.size).u32(it.shape.align)
        writer.list(it.fields, self._write_field)

    def _write_field(self, writer: Writer, it: FieldLayout) -> None:
        writer.u32(it.number).u8(KINDS.index(it.kind)).u8(it.label).bool(it.packed).u32(it.offset)
        writer.u32(self.index(it.message) if it.message else _NO_MESSAGE)
        it.presence.write(writer)
        writer.bytes(it.default)


_SIZE_OF_PRESENCE = 4 + 1 + 8 + 8 + 1
_SIZE_OF_OPTION = 1 + 3 * 4 + _SIZE_OF_PRESENCE
_SIZE_OF_CONVENTIONS = 6 * 4
_SIZE_OF_SHAPE = 2 * 4
_SIZE_OF_FIELD = 4 + 3 * 1 + 2 * 4 + _SIZE_OF_PRESENCE
"""Bytes of what bundles have, up to its text."""


def _pass_field(reader: Reader) -> None:
    reader.raw(_SIZE_OF_FIELD)
    reader.bytes()


def _write_option(writer: Writer, kind: str, it: OptionShape) -> None:
    writer.u8(KINDS.index(kind)).u32(it.shape.size).u32(it.shape.align).u32(it.value)
    it.presence.write(writer)


def layouts_of(methods: Mapping[str, tuple[Descriptor, Descriptor]]) -> Layouts:
    """The layouts that methods need, by their paths.

    Raises `UnsupportedError` where a message has what mRPC's structs do not.
    """
    found: dict[str, Layout] = {}
    for pair in methods.values():
        for it in pair:
            _layout(it, found, ())
    names = {path: (request.full_name, response.full_name) for path, (request, response) in methods.items()}
    return Layouts(names, list(reversed(found.values())))


def _layout(message: Descriptor, found: dict[str, Layout], above: tuple[str, ...]) -> Layout:
    if message.full_name in above:
        raise UnsupportedError(message.full_name, "the message holds itself")
    if message.full_name in found:
        return found[message.full_name]
    fields: list[FieldLayout] = []
    size, align, niche = 0, 1, None
    for it in message.fields:
        shape, value, presence = _place(it, found, (*above, message.full_name))
        start = -(-size // shape.align) * shape.align
        size, align = start + shape.size, max(align, shape.align)
        if shape.niche is not None and (niche is None or shape.niche.available > niche.available):
            inner = shape.niche
            niche = Niche(start + inner.offset, inner.size, inner.start, inner.available)
        fields.append(_field(it, start + value, _moved(presence, start)))
    layout = Layout(message.full_name, Shape(-(-size // align) * align, align, niche), tuple(fields))
    found[message.full_name] = layout  # behind all that it holds
    return layout


def _moved(presence: Presence, by: int) -> Presence:
    word = presence
    if not word.size:
        return ALWAYS
    return Presence(word.offset + by, word.size, word.absent, word.present, word.tagged)


def _field(it: FieldDescriptor, offset: int, presence: Presence) -> FieldLayout:
    inner = it.message_type.full_name if it.message_type is not None else ""
    kind, label = _KIND_OF[it.type], _label(it)
    return FieldLayout(it.number, it.name, kind, label, it.is_packed, offset, inner, presence, _default(it, kind))


def _label(it: FieldDescriptor) -> int:
    if it.is_repeated:
        return REPEATED
    if it.is_required:
        return REQUIRED
    return OPTIONAL if it.has_presence else IMPLICIT


def _place(it: FieldDescriptor, found: dict[str, Layout], above: tuple[str, ...]) -> tuple[Shape, int, Presence]:
    """The type of a field, where its value lies in that, and how to tell that there is one."""
    _check(it)
    kind, label = _KIND_OF[it.type], _label(it)
    inner = scalar(kind) if it.message_type is None else _layout(it.message_type, found, above).shape
    if label == REPEATED:
        return VEC, 0, ALWAYS
    if label != OPTIONAL:
        return inner, 0, ALWAYS
    made = option(inner)
    return made.shape, made.value, made.presence


def _check(it: FieldDescriptor) -> None:
    kind = _KIND_OF[it.type]
    if kind == "group":
        raise UnsupportedError(it.full_name, "a group")
    if it.message_type is not None and it.message_type.GetOptions().map_entry:
        raise UnsupportedError(it.full_name, "a map")
    oneof = it.containing_oneof
    if oneof is not None and not _is_synthetic(oneof):
        raise UnsupportedError(it.full_name, f"a member of the oneof {oneof.name}")
    if it.is_repeated and kind not in _LISTS:
        raise UnsupportedError(it.full_name, f"a list of {kind}")


def _is_synthetic(oneof: Any) -> bool:
    """Whether it only stands for ``optional`` of proto3."""
    return len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}" and not oneof.fields[0].is_extension


def _default(it: FieldDescriptor, kind: str) -> bytes:
    if it.is_repeated or it.message_type is not None or not it.has_default_value:
        return b""
    value = it.default_value
    if kind in {"string", "bytes"}:
        return value.encode() if isinstance(value, str) else bytes(value)
    if kind in {"float", "double"}:
        return struct.pack("<d", value)
    return int(value).to_bytes(8, "little", signed=int(value) < 0)
