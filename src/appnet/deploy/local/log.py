"""What a program writes, in files of bounded size: what is old makes room for what is new."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 16 << 20
"""Of a program's log, in its two files together."""

_CHUNK_BYTES = 64 << 10
_TAIL_LINES = 20
_TAIL_BYTES = 64 << 10
_LONGEST_LINE = 500
_DRAIN_SECONDS = 1.0
_REST_SECONDS = 0.001  # of a program that writes without end, some 60 MB in a second are enough


class ProgramLog:
    """The log of a program. ``path`` has what is new; once that is half of all it may be, it becomes ``older``.

    A thread takes what the program writes: a program must not wait until the event loop has time for it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.older = path.with_name(f"{path.name}.1")
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._begin = 0  # of the file at `path`, in all that was ever written
        self._end = 0

    @contextlib.contextmanager
    def writing(self) -> Iterator[int]:
        """A file descriptor for a program to write to, for as long as it takes to start it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        readable, writable = os.pipe()
        self._thread = threading.Thread(target=self._copy, args=(readable,), daemon=True, name=f"log {self.path.name}")
        self._thread.start()
        try:
            yield writable
        finally:
            os.close(writable)

    def _copy(self, readable: int) -> None:
        with open(readable, "rb", buffering=0) as pipe:
            while chunk := pipe.read(_CHUNK_BYTES):
                with self._lock, contextlib.suppress(OSError):  # of a full disk: the program must not wait for it
                    self._append(chunk)
                time.sleep(_REST_SECONDS)

    def _append(self, chunk: bytes) -> None:
        if self._end - self._begin + len(chunk) > MOST_BYTES // 2:
            self.path.replace(self.older)
            self._begin = self._end
        with self.path.open("ab") as file:
            file.write(chunk)
        self._end += len(chunk)

    def lines_from(self, offset: int, most: int) -> tuple[list[str], int]:
        """The whole lines from ``offset`` on, in at most so many bytes, and where those behind begin."""
        with self._lock:
            offset = max(offset, self._begin)
            part = self._read(offset - self._begin, most)
        whole = part.rfind(b"\n") + 1 or (len(part) if len(part) == most else 0)
        return part[:whole].decode("utf-8", "replace").splitlines(), offset + whole

    def _read(self, offset: int, most: int) -> bytes:
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(most)

    def tail(self, *, ended: bool) -> list[str]:
        """The last lines. ``ended``: its program has, so that all it wrote is waited for."""
        if ended and self._thread is not None:
            self._thread.join(_DRAIN_SECONDS)
        with self._lock:
            part = self._read(max(0, self._end - self._begin - _TAIL_BYTES), _TAIL_BYTES)
            if len(part) < _TAIL_BYTES and self.older.exists():
                part = self.older.read_bytes()[-_TAIL_BYTES:] + part
        return [it[:_LONGEST_LINE] for it in part.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]]
