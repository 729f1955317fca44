"""Programs on a terminal of 80 columns and 24 lines, as a user sees them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyte
from pyte.screens import Char

COLUMNS, LINES = 80, 24
_NOT_PASSED = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}


class _Screen(pyte.Screen):
    """Notes what a terminal does where a program writes more than fits."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, LINES)
        self.wrapped: list[str] = []
        self.scrolled = 0

    def draw(self, data: str) -> None:
        for it in data:
            if self.cursor.x == COLUMNS:
                self.wrapped.append(self.display[self.cursor.y])
            super().draw(it)

    def index(self) -> None:
        if self.cursor.y == LINES - 1:
            self.scrolled += 1
        super().index()


class Terminal:
    """A program on a pseudo-terminal; ``screen`` is what stands there."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._master = master
        self._screen = _Screen()
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """The text of each line, without the blanks at its end; without empty lines at the end."""
        return "\n".join(it.rstrip() for it in self._screen.display).rstrip().split("\n")

    @property
    def wrapped(self) -> list[str]:
        """Lines that were longer than the terminal is wide."""
        return self._screen.wrapped

    @property
    def scrolled(self) -> int:
        """How many lines have left the screen at its top."""
        return self._screen.scrolled

    @property
    def cells(self) -> list[list[Char]]:
        """Every character of the screen, with its colours."""
        return [[self._screen.buffer[y][x] for x in range(COLUMNS)] for y in range(LINES)]

    def wait_for(self, text: str, seconds: float = 120.0) -> None:
        """Until the text stands on the screen."""
        deadline = time.monotonic() + seconds
        while text not in "\n".join(self.lines):
            assert time.monotonic() < deadline, f"no {text!r} in\n" + "\n".join(self.lines)
            if not self._read(0.1):
                assert text in "\n".join(self.lines), f"ended without {text!r}:\n" + "\n".join(self.lines)

    def settle(self, seconds: float) -> None:
        """Takes what is written in that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read(deadline - time.monotonic()):
            pass

    def wait(self, seconds: float = 120.0) -> int:
        """Until the program ends; its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, "\n".join(self.lines)
        return self.process.wait(10)

    def show(self, text: str) -> None:
        """Writes on the screen, as a shell does before a program begins."""
        self._stream.feed(text.encode())

    def type(self, text: str) -> None:
        """As if on its keyboard."""
        os.write(self._master, text.encode())

    def _read(self, seconds: float) -> bool:
        """Takes what the program writes, if it does so in time; whether more may come."""
        if not select.select([self._master], [], [], max(seconds, 0))[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux's way to say that nobody has the terminal open any more
            return False
        self._stream.feed(data)
        return bool(data)


@contextlib.contextmanager
def on_a_terminal(command: Sequence[str | Path], folder: Path, typed: str = "") -> Iterator[Terminal]:
    """Starts the command in ``folder`` on a terminal of its own, below what was ``typed``, and ends it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {
        **{name: it for name, it in os.environ.items() if name not in _NOT_PASSED},
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
    }
    process = subprocess.Popen(
        ["setsid", "--ctty", *map(str, command)],  # so that Ctrl-C reaches it
        cwd=folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    terminal = Terminal(master, process)
    if typed:
        terminal.show(f"$ {typed}\r\n")
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.terminate()
        terminal.wait()
        os.close(master)
