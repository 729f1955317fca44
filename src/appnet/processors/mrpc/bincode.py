"""The encoding of bundles, requests, and Phoenix's own control messages: what bincode 1 writes by default.

Integers are little-endian and of fixed width; texts and lists begin with their length in 64 bits, variants of enums
with their number in 32.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


class Writer:
    """Writes values one after another."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def finish(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)

    def raw(self, data: bytes) -> Writer:
        """These bytes, without their length."""
        self._parts.append(data)
        return self

    def u8(self, value: int) -> Writer:
        """A byte."""
        return self.raw(struct.pack("<B", value))

    def bool(self, value: bool) -> Writer:
        """A truth value."""
        return self.u8(int(value))

    def i32(self, value: int) -> Writer:
        """A signed number of 32 bits."""
        return self.raw(struct.pack("<i", value))

    def u32(self, value: int) -> Writer:
        """A number of 32 bits, or the variant of an enum."""
        return self.raw(struct.pack("<I", value))

    def u64(self, value: int) -> Writer:
        """A number of 64 bits."""
        return self.raw(struct.pack("<Q", value))

    def bytes(self, data: bytes) -> Writer:
        """Bytes behind their length."""
        return self.u64(len(data)).raw(data)

    def text(self, text: str) -> Writer:
        """A text, in UTF-8."""
        return self.bytes(text.encode())

    def option(self, value: T | None, item: Callable[[Writer, T], object]) -> Writer:
        """Nothing, or a value."""
        self.bool(value is not None)
        if value is not None:
            item(self, value)
        return self

    def list(self, items: Iterable[T], item: Callable[[Writer, T], object]) -> Writer:
        """Items behind their number."""
        all_ = list(items)
        self.u64(len(all_))
        for it in all_:
            item(self, it)
        return self


class Reader:
    """Reads what `Writer` writes. Raises `ValueError` where it is something else."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __len__(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        """So many bytes."""
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise ValueError("it ends early")
        self._at += size
        return part

    def _number(self, form: str) -> int:
        number: int = struct.unpack(form, self.raw(struct.calcsize(form)))[0]
        return number

    def u8(self) -> int:
        """A byte."""
        return self._number("<B")

    def bool(self) -> bool:
        """A truth value."""
        value = self.u8()
        if value > 1:
            raise ValueError(f"{value} is no truth value")
        return bool(value)

    def i32(self) -> int:
        """A signed number of 32 bits."""
        return self._number("<i")

    def u32(self) -> int:
        """A number of 32 bits, or the variant of an enum."""
        return self._number("<I")

    def u64(self) -> int:
        """A number of 64 bits."""
        return self._number("<Q")

    def bytes(self) -> bytes:
        """Bytes behind their length."""
        return self.raw(self.u64())

    def text(self) -> str:
        """A text."""
        return self.bytes().decode()

    def option(self, item: Callable[[Reader], T]) -> T | None:
        """Nothing, or a value."""
        return item(self) if self.bool() else None

    def list(self, item: Callable[[Reader], T]) -> list[T]:
        """Items behind their number."""
        count = self.u64()
        if count > len(self):
            raise ValueError("it ends early")
        return [item(self) for _ in range(count)]

    def end(self) -> None:
        """Nothing may be left."""
        if len(self):
            raise ValueError(f"{len(self)} bytes behind its end")
