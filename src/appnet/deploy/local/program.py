"""Programs of an application on this machine: each says where it is on its first line of output."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from appnet.system import lifetime
from appnet.system.address import Address

_LOG_TAIL_LINES = 20
_LAST_WORDS_SECONDS = 0.5


class ApplicationError(Exception):
    """The program did not start or did not print its address."""


class ApplicationProcess:
    """A program that binds a free port and prints ``{"address": "HOST:PORT"}`` as its first line.

    It ends with this process. ``name`` is for messages; what it writes to standard error goes to ``log_path``.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._command = list(command)
        self._process: asyncio.subprocess.Process | None = None
        self._address: Address | None = None
        self._drain: asyncio.Task[None] | None = None

    async def start(self, timeout_seconds: float = 30.0) -> None:
        """Starts it and waits for its address; raises ``ApplicationError`` with its log's end where none comes."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            process = await lifetime.start_bound(self._command, stdout=asyncio.subprocess.PIPE, stderr=log)
        self._process = process
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), timeout_seconds)
            self._address = Address.parse(json.loads(line)["address"])
        except (TimeoutError, ValueError, KeyError, TypeError) as error:
            with contextlib.suppress(TimeoutError):  # what fails says why before it ends
                await asyncio.wait_for(process.wait(), _LAST_WORDS_SECONDS)
            ended = process.returncode is not None
            await self.stop()
            what = "did not start" if ended else "did not print its address"
            raise ApplicationError(f"{self.name} {what}{self.last_words()}") from error
        except BaseException:
            await self.stop()
            raise
        # What else it prints must not fill the pipe and stop it.
        self._drain = asyncio.create_task(_discard(process.stdout))

    async def stop(self, grace_seconds: float = 3.0) -> None:
        """Ends it: asks first, kills after ``grace_seconds``. Safe to call again."""
        if self._process is not None:
            await lifetime.stop(self._process, grace_seconds)
        if self._drain is not None:
            await self._drain

    async def __aenter__(self) -> ApplicationProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> Address:
        """Where the started program listens."""
        if self._address is None:
            raise ApplicationError(f"{self.name} has not been started")
        return self._address

    @property
    def pid(self) -> int:
        """The process id of the started program."""
        if self._process is None:
            raise ApplicationError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    def last_words(self) -> str:
        """The end of its log, to follow what is said of it."""
        lines = self.log_path.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:]
        return f": {lines[0]}" if len(lines) == 1 else "\n".join(("; its log ends:", *lines))


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass
