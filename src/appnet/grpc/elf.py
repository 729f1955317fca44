"""The file of a chain, checked before any of it is mapped: a shared object that asks for nothing but to be moved.

All that it names lies within it, and no page is both written and run. Whatever is wrong raises `ValueError`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from appnet.grpc.container import MACHINE

PAGE = 1 << 16
"""The largest page that Linux has: segments that share no page of this size share none anywhere."""

_LARGEST = 64 << 20  # chains have tens of kilobytes
_MACHINES = {"amd64": (62, 8), "arm64": (183, 1027)}  # e_machine, and the kind of relocations
_HEADER, _PROGRAM_HEADER, _RELOCATION = 64, 56, 24
_SHARED = 3
_LOAD, _DYNAMIC, _INTERPRETER, _THREAD_LOCAL, _SEALED = 1, 2, 3, 7, 0x6474E552
_EXECUTE, _WRITE = 1, 2
_NULL, _NEEDED, _RELA, _RELA_SIZE, _RELA_ENTRY = 0, 1, 7, 8, 9
_OF_A_LINKER = frozenset({2, 12, 13, 17, 23, 25, 26, 32, 36})  # other relocations, and what runs at start or end
_ENDS_EARLY = "the file ends early"


@dataclass
class Segment:
    """Bytes ``start`` to ``end`` of the image; ``file``: what it begins with, and zero behind it."""

    start: int
    end: int
    file: bytes
    flags: int
    sealed: bool = False  # read-only once it has been relocated

    @property
    def writable(self) -> bool:
        """Whether it is data."""
        return bool(self.flags & _WRITE)

    @property
    def executable(self) -> bool:
        """Whether it is code."""
        return bool(self.flags & _EXECUTE)


@dataclass
class Layout:
    """What goes where in memory. ``moved``: places, and the offsets that they lead to."""

    entry: int
    size: int = 0
    segments: list[Segment] = field(default_factory=list)
    moved: list[tuple[int, int]] = field(default_factory=list)

    def segment_of(self, at: int, size: int) -> Segment | None:
        """The segment that has all of these bytes."""
        return next((it for it in self.segments if it.start <= at <= it.end and size <= it.end - at), None)


def read_layout(file: bytes, machine: str = MACHINE) -> Layout:
    """A file for the machine, checked."""
    if machine not in _MACHINES:
        raise ValueError(f"there is no code for machines such as this ({machine})")
    number, relative = _MACHINES[machine]
    if len(file) < _HEADER:
        raise ValueError(_ENDS_EARLY)
    if file[:7] != b"\x7fELF\2\1\1":
        raise ValueError("not an object file of 64 bits")
    kind, found = struct.unpack_from("<HH", file, 16)
    if kind != _SHARED:
        raise ValueError("not a shared object")
    if found != number:
        raise ValueError(f"for another machine ({found})")
    layout = Layout(struct.unpack_from("<Q", file, 24)[0])
    dynamic, sealed = _read_headers(file, layout)
    for it in layout.segments:
        it.sealed = it.writable and any(start <= it.start and it.end <= end for start, end in sealed)
    _arrange(layout)
    _read_dynamic(layout, dynamic, relative)
    return layout


def _read_headers(file: bytes, layout: Layout) -> tuple[bytes, list[tuple[int, int]]]:
    (at,) = struct.unpack_from("<Q", file, 32)
    each, count = struct.unpack_from("<HH", file, 54)
    if each != _PROGRAM_HEADER or at + count * each > len(file):
        raise ValueError(_ENDS_EARLY)
    dynamic, sealed = b"", []
    for number in range(count):
        kind, flags, offset, start, _, in_file, in_memory = struct.unpack_from("<IIQQQQQ", file, at + number * each)
        if kind in {_INTERPRETER, _THREAD_LOCAL}:
            raise ValueError("needs a dynamic linker")
        if kind not in {_LOAD, _DYNAMIC, _SEALED}:
            continue
        if start > _LARGEST or in_memory > _LARGEST or in_file > in_memory:
            raise ValueError("a segment is too large")
        if kind == _SEALED:
            sealed.append((start, start + in_memory))
            continue
        if offset + in_file > len(file):
            raise ValueError(_ENDS_EARLY)
        if kind == _DYNAMIC:
            dynamic = file[offset : offset + in_file]
        else:
            layout.segments.append(Segment(start, start + in_memory, file[offset : offset + in_file], flags))
    return dynamic, sealed


def _arrange(layout: Layout) -> None:
    end = 0
    for it in layout.segments:
        if it.writable and it.executable:
            raise ValueError("a segment is both written and run")
        if it.start < end:
            raise ValueError("segments overlap")
        end = (it.end + PAGE - 1) & -PAGE
    if not any(it.executable for it in layout.segments) or not 0 < end <= _LARGEST:
        raise ValueError("no code in it")
    layout.size = end


def _entries(dynamic: bytes) -> Iterator[tuple[int, int]]:
    for at in range(0, len(dynamic) - 15, 16):
        tag, value = struct.unpack_from("<QQ", dynamic, at)
        if tag == _NULL:
            return
        yield tag, value
    raise ValueError("its list of what to move has no end")


def _read_dynamic(layout: Layout, dynamic: bytes, relative: int) -> None:
    table, size, each = 0, 0, _RELOCATION
    for tag, value in _entries(dynamic):
        if tag == _NEEDED:
            raise ValueError("needs other libraries")
        if tag in _OF_A_LINKER:
            raise ValueError(f"asks a dynamic linker for what a chain needs not ({tag})")
        if tag == _RELA:
            table = value
        elif tag == _RELA_SIZE:
            size = value
        elif tag == _RELA_ENTRY:
            each = value
    _read_relocations(layout, table, size, each, relative)


def _read_relocations(layout: Layout, table: int, size: int, each: int, relative: int) -> None:
    if each != _RELOCATION or size % _RELOCATION:
        raise ValueError("relocations of another size")
    if size == 0:
        raise ValueError("nothing in it leads anywhere")
    held = layout.segment_of(table, size)
    if held is None or table - held.start + size > len(held.file):
        raise ValueError("relocations lie outside")
    for at, info, value in struct.iter_unpack("<QQQ", held.file[table - held.start :][:size]):
        if info != relative:
            raise ValueError(f"a relocation of another kind ({info:#x})")
        place = layout.segment_of(at, 8)
        if place is None or not place.writable or at % 8:
            raise ValueError(f"a relocation changes what is not data ({at:#x})")
        if layout.segment_of(value, 0) is None:
            raise ValueError(f"a relocation leads out of the file ({value:#x})")
        layout.moved.append((at, value))
