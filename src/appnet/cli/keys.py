"""What is typed into the terminal of `appnetctl run`: programs are started again, and logs shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator

from appnet.cli.errors import Screens
from appnet.cli.screen import tell
from appnet.cli.values import none_of
from appnet.deploy.local.machine import LocalMachine

HELP = "r restarts all programs, r SERVICE those of one; l and l SERVICE show the ends of logs"
_MOST_BYTES = 4_096


class Typing:
    """What is typed: ``text`` is the line so far, whole ones are in ``lines``. ``changed`` is set by every key."""

    def __init__(self) -> None:
        self.text = ""
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.changed = asyncio.Event()

    def keys(self, typed: str) -> None:
        """Takes keys in, or a line that the terminal has edited itself."""
        for key in typed:
            if key in "\r\n":
                self.lines.put_nowait(self.text)
                self.text = ""
            elif key in "\b\x7f":
                self.text = self.text[:-1]
            elif key == "\x15":
                self.text = ""
            elif key.isprintable():
                self.text += key
        self.changed.set()


async def obey(machine: LocalMachine, typing: Typing, screens: Screens, more: str) -> None:
    """Does what is typed, line by line, while the application is up; ``more`` is said below the help. Without a
    terminal, it waits for ever."""
    with _reading(typing, quiet=screens.out.is_terminal):
        while True:
            word, _, service = (await typing.lines.get()).strip().partition(" ")
            service = service.strip()
            if service and service not in machine.instances:
                tell(screens.err, none_of(service, machine.instances))
            elif word == "r":
                await _restart(machine, service, screens)
            elif word == "l":
                _show_logs(machine, service, screens)
            else:
                tell(screens.out, f"{HELP}\n{more}", style="dim")


def at_terminal() -> bool:
    """Whether somebody can type."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextlib.contextmanager
def _reading(typing: Typing, *, quiet: bool) -> Iterator[None]:
    """Takes in what is typed. ``quiet``: the terminal does not show it, as we do."""
    if not at_terminal():
        yield
        return
    file, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(file)

    def look() -> None:
        if _in_background(file):
            return
        typed = os.read(file, _MOST_BYTES)
        if not typed:
            loop.remove_reader(file)
        typing.keys(typed.decode(errors="replace"))

    if quiet and not _in_background(file):
        tty.setcbreak(file, termios.TCSANOW)  # which keeps what was typed already
    loop.add_reader(file, look)
    try:
        yield
    finally:
        loop.remove_reader(file)
        if not _in_background(file):
            termios.tcsetattr(file, termios.TCSADRAIN, before)


def _in_background(file: int) -> bool:
    """Whether the terminal is another's now, so that reading from it would stop this process."""
    try:
        return os.tcgetpgrp(file) != os.getpgrp()
    except OSError:  # it is not the terminal that controls this process
        return False


async def _restart(machine: LocalMachine, service: str, screens: Screens) -> None:
    async for program, seconds, wrong in machine.restart(service):
        if wrong:
            tell(screens.err, f"{program.name} is down: {wrong}")
        else:
            tell(screens.out, f"{program.name} started again in {seconds:.1f} s")


def _show_logs(machine: LocalMachine, service: str, screens: Screens) -> None:
    for name, instances in machine.instances.items():
        for it in instances if service in {"", name} else ():
            program = it.program
            screens.out.print(f"{program.name}, {program.log.path}:", style="bold", markup=False)
            for line in program.log.tail(ended=not program.running):
                screens.out.print(f"  {line}", markup=False, highlight=False)
