"""Child processes that cannot outlive the process that started them, however it ends.

Linux sends a chosen signal to a process when the thread that forked it ends. The request for that signal has to be
made in the child between fork and exec, where Python code is not safe once there are threads; so this file is also
a program: a bare interpreter that makes the request and then becomes the command it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_ANYBODYS = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH")


async def start_bound(
    command: Sequence[str | Path],
    *,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
    inherits: bool = True,
    folder: Path | None = None,
) -> asyncio.subprocess.Process:
    """Starts ``command`` (an absolute path and its arguments) so that the kernel kills it when this process ends.

    The command runs in a session of its own: Ctrl-C at the terminal reaches this process alone, which then stops its
    children in order. ``environment`` is added to this process's own, or where the command does not inherit that, to
    `bare_environment`; ``folder`` is where it runs. Raises ``RuntimeError`` outside the main thread, because the child
    would die with the calling thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a bound process has to be started from the main thread: it ends with the thread")
    return await asyncio.create_subprocess_exec(
        *bound(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**(os.environ if inherits else bare_environment()), **(environment or {})},
        start_new_session=True,
        cwd=folder,
    )


def bare_environment() -> dict[str, str]:
    """What this process has in its environment but for what may be secret: for those who need no more."""
    return {name: os.environ[name] for name in _ANYBODYS if name in os.environ}


def bound(command: Sequence[str | Path]) -> list[str]:
    """The command that runs ``command`` and ends with the thread that starts it."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *map(str, command)]


def ask_to_end(process: asyncio.subprocess.Process) -> None:
    """Asks ``process``, and all that it has started in its session, to end."""
    _signal(process, signal.SIGTERM)


async def stop(process: asyncio.subprocess.Process, grace_seconds: float) -> int:
    """Asks ``process`` to end, kills it and what it has started after ``grace_seconds``, and returns its exit code."""
    if process.returncode is None:
        ask_to_end(process)
        try:
            await asyncio.wait_for(process.wait(), grace_seconds)
        except TimeoutError:
            process.kill()
    code = await process.wait()
    _signal(process, signal.SIGKILL)  # who was asked and stays behind
    return code


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the whole group, of which the process is the leader: a shell's children do not end with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _become(parent: int, command: list[str]) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before the request was made
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
