"""What is typed into the terminal of `appnetctl run`: programs are started again, and logs shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator

from appnet.cli.errors import Screens
from appnet.cli.values import none_of
from appnet.deploy.local.machine import LocalMachine

HELP = "r restarts all programs, r SERVICE those of one; l and l SERVICE show the ends of logs"
_LINE_BYTES = 4_096


async def obey(machine: LocalMachine, screens: Screens) -> None:
    """Does what is typed, line by line, while the application is up. Without a terminal, it waits for ever."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    with _typed(lines):
        while True:
            word, _, service = (await lines.get()).strip().partition(" ")
            service = service.strip()
            if service and service not in machine.instances:
                screens.err.print(none_of(service, machine.instances), markup=False)
            elif word == "r":
                await _restart(machine, service, screens)
            elif word == "l":
                _show_logs(machine, service, screens)
            elif word:
                screens.out.print(HELP, style="dim", markup=False)


def at_terminal() -> bool:
    """Whether somebody can type."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextlib.contextmanager
def _typed(lines: asyncio.Queue[str]) -> Iterator[None]:
    """Puts lines into the queue as they are typed."""
    if not at_terminal():
        yield
        return
    file, loop = sys.stdin.fileno(), asyncio.get_running_loop()

    def look() -> None:
        if _in_background(file):
            return
        typed = os.read(file, _LINE_BYTES)
        if not typed:
            loop.remove_reader(file)
        for it in typed.decode(errors="replace").splitlines():
            lines.put_nowait(it)

    loop.add_reader(file, look)
    try:
        yield
    finally:
        loop.remove_reader(file)


def _in_background(file: int) -> bool:
    """Whether the terminal is another's now, so that reading from it would stop this process."""
    try:
        return os.tcgetpgrp(file) != os.getpgrp()
    except OSError:  # it is not the terminal that controls this process
        return False


async def _restart(machine: LocalMachine, service: str, screens: Screens) -> None:
    async for program, seconds, wrong in machine.restart(service):
        if wrong:
            screens.err.print(f"{program.name} is down: {wrong}", markup=False)
        else:
            screens.out.print(f"{program.name} started again in {seconds:.1f} s", markup=False)


def _show_logs(machine: LocalMachine, service: str, screens: Screens) -> None:
    for name, instances in machine.instances.items():
        for it in instances if service in {"", name} else ():
            program = it.program
            screens.out.print(f"{program.name}, {program.log.path}:", style="bold", markup=False)
            for line in program.log.tail(ended=not program.running):
                screens.out.print(f"  {line}", markup=False, highlight=False)
