"""A chain's file in memory, without a dynamic linker: code that can be run but not written, data that cannot be run,
and tables that nobody can change any more. So it is the same on glibc and musl, and goes when nobody uses it."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import weakref
from functools import cache
from typing import Any

from appnet.grpc.elf import Layout, Segment, read_layout

_FIXED, _NO_RESERVE, _NONE = 0x10, 0x4000, 0
_ADD_SEALS, _ALL_SEALS = 1033, 15
_FAILED = ctypes.c_void_p(-1).value


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    numbers = (ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *numbers)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return libc


def _map(at: int | None, size: int, protection: int, flags: int, file: int = -1, offset: int = 0) -> int:
    found: int = _libc().mmap(at, size, protection, flags, file, offset)
    if found == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


class Image:
    """A file that has been checked, mapped; it stays until the object goes. Raises `ValueError`, and `OSError` where
    there is no memory for it."""

    def __init__(self, file: bytes) -> None:
        self.layout = read_layout(file)
        size = self.layout.size
        self.base = _map(None, size, _NONE, mmap.MAP_ANONYMOUS | mmap.MAP_PRIVATE | _NO_RESERVE)
        weakref.finalize(self, _libc().munmap, self.base, size).atexit = False  # threads may run it to the end
        code = _sealed_file(self.layout)
        try:
            for it in self.layout.segments:
                self._fill(it, code)
        finally:
            os.close(code)

    def _fill(self, segment: Segment, code: int) -> None:
        start, size = _pages(segment)
        protection = mmap.PROT_READ
        if segment.executable:
            protection |= mmap.PROT_EXEC
        elif segment.writable:
            protection |= mmap.PROT_WRITE
        _map(self.base + start, size, protection, mmap.MAP_PRIVATE | _FIXED, code, start)
        for at, value in self.layout.moved:
            if segment.start <= at < segment.end:
                ctypes.c_uint64.from_address(self.base + at).value = self.base + value
        if segment.sealed and _libc().mprotect(self.base + start, size, mmap.PROT_READ):
            raise OSError(ctypes.get_errno(), "its tables cannot be sealed")

    def read(self, address: int, size: int) -> bytes:
        """Bytes of its own. Raises `ValueError` where they are not."""
        if address < self.base or self.layout.segment_of(address - self.base, size) is None:
            raise ValueError("a table leads out of the file")
        return ctypes.string_at(address, size)

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """Numbers of 64 bits."""
        return struct.unpack(f"<{count}Q", self.read(address, 8 * count))

    def text(self, address: int) -> str:
        """The C string at an address of its own."""
        place = address - self.base
        held = self.layout.segment_of(place, 1)
        if place < 0 or held is None:
            raise ValueError("a table leads out of the file")
        data, ended, _ = ctypes.string_at(address, held.end - place).partition(b"\0")
        if not ended:
            raise ValueError("a text has no end")
        return data.decode("utf-8", "replace")

    def function(self, address: int) -> int:
        """The address of code of its own."""
        held = self.layout.segment_of(address - self.base, 1)
        if held is None or not held.executable:
            raise ValueError("a function is no code")
        return address


def _pages(segment: Segment) -> tuple[int, int]:
    start = segment.start & -mmap.PAGESIZE
    return start, ((segment.end + mmap.PAGESIZE - 1) & -mmap.PAGESIZE) - start


def _sealed_file(layout: Layout) -> int:
    """A file in memory with all segments at their places, which nobody can change any more. Code is mapped from it:
    some systems forbid to run what could once be written."""
    file = os.memfd_create("appnet", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    for it in layout.segments:
        os.pwrite(file, it.file, it.start)
    os.ftruncate(file, layout.size)
    fcntl.fcntl(file, _ADD_SEALS, _ALL_SEALS)
    return file
