"""A client of Phoenix's control socket: a Unix datagram socket in the folder that Phoenix keeps its files in.

Clients have files there, too: a socket for answers, beside it a folder for those of engines, modules that Phoenix may
yet open, and one lock for all of them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from appnet.processors.mrpc.phoenix import MOST_REQUEST, Subscription, list_request, listed
from appnet.processors.processor import ProcessorError

_MOST_ANSWER = 1 << 20  # bytes; a datagram of Linux has fewer unless somebody has raised the limit
_POLL_SECONDS = 0.02
_OURS = "appnet-"
_LOCK = "appnet.lock"
_GONE = ".gone"
_MODULE_SECONDS = 3600  # how long a module stays that Phoenix has not opened in time


def control_socket() -> Path:
    """Where Phoenix listens unless it was told otherwise, by the variables that its own tools read."""
    return Path(os.environ.get("PHOENIX_PREFIX", "/tmp/phoenix"), os.environ.get("PHOENIX_CONTROL", "control.sock"))  # noqa: S108


class Control:
    """Asks the Phoenix at ``path``. Raises `ProcessorError` for what goes wrong, within ``timeout_seconds``."""

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        self.path, self.timeout_seconds = path, timeout_seconds
        self._own = path.parent / f"{_OURS}{uuid.uuid4().hex[:12]}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        try:
            self._socket.bind(str(self._own))  # it answers only who has a name
            self._socket.settimeout(self.timeout_seconds)
            self._socket.connect(str(self.path))
            self._tidy_up()
        except OSError as error:
            self.__exit__(None, None, None)
            help_ = "start Phoenix, or set PHOENIX_PREFIX and PHOENIX_CONTROL as it has them, or pass --socket"
            raise ProcessorError(f"no Phoenix listens at {self.path}: {_reason(error)}; {help_}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._own.unlink(missing_ok=True)

    def _tidy_up(self) -> None:
        """Takes away what clients left that were killed: nobody listens at their sockets."""
        for it in self.path.parent.glob(f"{_OURS}*.sock"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking, suppress(FileNotFoundError):
                if asking.connect_ex(str(it)) == errno.ECONNREFUSED:
                    _remove(_answers(it))
                    it.unlink()
        for it in self.path.parent.glob(f"{_OURS}*{_GONE}"):
            shutil.rmtree(it, ignore_errors=True)
        for it in self.path.parent.glob(f"{_OURS}*.mrpc"):
            with suppress(FileNotFoundError):
                if time.time() - it.stat().st_mtime > _MODULE_SECONDS:
                    it.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other client changes anything meanwhile: what it sees before a request, that request finds."""
        lock = self.path.parent / _LOCK
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ProcessorError(
                f"{lock} cannot be opened: {_reason(error)}; use the service's user, or root"
            ) from error
        try:
            self._give(lock)
            self._wait_for(file)
            yield
        finally:
            os.close(file)

    def _wait_for(self, file: int) -> None:
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            with suppress(BlockingIOError):
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.monotonic() > deadline:
                seconds = f"{self.timeout_seconds:g} s"
                raise ProcessorError(
                    f"another appnetctl has been changing engines at {self.path} for {seconds}: try again"
                )
            time.sleep(_POLL_SECONDS)

    @contextmanager
    def answers(self) -> Iterator[Path]:
        """A new folder of this client's, which the service writes into."""
        folder = _answers(self._own)
        folder.mkdir(mode=0o700)
        try:
            self._give(folder)
            yield folder
        finally:
            _remove(folder)

    def keep(self, module: bytes) -> Path:
        """A file of these bytes that nobody replaces. It stays for an hour if it is not taken away before."""
        file = self._own.with_suffix(".mrpc")
        part = file.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(module)
        self._give(part)
        return part.replace(file)

    def _give(self, path: Path) -> None:
        """Makes a file the service's, which may run as another user."""
        if os.geteuid() == 0:
            os.chown(path, self.path.stat().st_uid, -1)

    def subscriptions(self) -> list[Subscription]:
        """All that Phoenix has, program by program."""
        self.send(list_request())
        try:
            answer, _, flags, _ = self._socket.recvmsg(_MOST_ANSWER)
        except TimeoutError as error:
            raise ProcessorError(f"Phoenix at {self.path} has not answered in {self.timeout_seconds:g} s") from error
        except OSError as error:
            raise ProcessorError(f"Phoenix at {self.path} gave no answer: {_reason(error)}") from error
        try:
            _check_whole(flags)
            return sorted(listed(answer), key=lambda it: (it.pid, it.sid))
        except ValueError as error:
            help_ = "`appnetctl verify --mrpc-dir CHECKOUT` tells whether this Phoenix is one that AppNet knows"
            raise ProcessorError(f"Phoenix at {self.path} sent no list of subscriptions: {error}; {help_}") from error

    def send(self, request: bytes) -> None:
        """A request that is not answered."""
        if len(request) > MOST_REQUEST:
            raise ProcessorError(f"a request of {len(request)} bytes is too long: Phoenix reads {MOST_REQUEST}")
        try:
            self._socket.send(request)
        except OSError as error:
            raise ProcessorError(f"Phoenix at {self.path} takes no request: {_reason(error)}") from error


def _answers(own: Path) -> Path:
    return own.with_suffix("")


def _remove(folder: Path) -> None:
    """First by its name: an engine that answers meanwhile would put a file into what is being emptied."""
    gone = folder.with_suffix(_GONE)
    with suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _check_whole(flags: int) -> None:
    if flags & socket.MSG_TRUNC:
        raise ValueError(f"it is longer than {_MOST_ANSWER >> 20} MiB")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
