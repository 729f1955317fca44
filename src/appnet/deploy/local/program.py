"""Programs of services on this machine: started, asked whether they can be called, stopped."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import string
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import aiohttp

from appnet.deploy.local.log import ProgramLog
from appnet.deploy.local.services import LocalService
from appnet.system import lifetime
from appnet.system.address import MAX_PORT, Address

_HOST = "127.0.0.1"
_LOOK_BYTES = 1 << 20
_POLL_SECONDS = 0.02
_ASK_SECONDS = 1.0
_RESTART_SECONDS = 10.0  # for calls under way
_HEALTH_METHOD = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"  # a HealthCheckResponse
_THIS_PYTHON = ("python", "python3")


class ApplicationError(Exception):
    """A program did not start, or cannot be called."""


def program_path(service: LocalService) -> str | None:
    """Where the service's program is; None where there is none. One that a variable names is not looked for."""
    program = service.command[0]
    return program if "$" in program else _found(program, service.folder)


def _found(program: str, folder: Path) -> str | None:
    return sys.executable if program in _THIS_PYTHON else _program(program, folder)


class ServiceProgram:
    """A running instance of a service, which ends with this process.

    ``name``: of the instance, for messages. What it writes goes to ``log``.
    """

    def __init__(self, name: str, service: LocalService, log_path: Path) -> None:
        self.name = name
        self.log = ProgramLog(log_path)
        self._service = service
        self._process: asyncio.subprocess.Process | None = None
        self._address: Address | None = None
        self._seen = 0  # of its log, in bytes
        self._variables: Mapping[str, str] = {}

    async def start(self, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        """Starts it, and waits until it can be called. ``variables``: of its environment, beside its service's own.

        Raises `ApplicationError` where it ends before, with the end of its log, or takes too long.
        """
        self.check_port()
        self._variables = variables
        environment = {**variables, **self._service.environment}
        if self._service.port.variable:
            environment[self._service.port.variable] = str(self.address.port)
        command = self._command(environment)
        with self.log.writing() as log:
            self._process = await lifetime.start_bound(
                command, stdout=log, stderr=log, environment=environment, folder=self._service.folder
            )
        try:
            await self._ready()
        except BaseException:
            await self.stop()
            raise

    async def restart(self, grace_seconds: float = _RESTART_SECONDS) -> None:
        """Stops it as `stop` does, and starts it again as it was started, at the same port.

        Raises `ApplicationError` as `start` does, and where it chooses its port itself.
        """
        if self._service.port.printed is not None:
            raise ApplicationError(f"{self.name} chooses its port itself, and may choose another: start `run` again")
        await self.stop(grace_seconds)
        await self.start(self._variables)

    def check_port(self) -> None:
        """Raises `ApplicationError` where the port that it has to listen on is taken."""
        if self._service.port.number is not None:
            check_free(self._service.port.number, f"{self.name} listens on")

    def ask_to_end(self) -> None:
        """Asks it, and what it has started, and waits for nothing."""
        if self._process is not None:
            lifetime.ask_to_end(self._process)

    async def stop(self, grace_seconds: float = 3.0) -> None:
        """Ends it: asks first, kills after ``grace_seconds``. Safe to call again."""
        if self._process is not None:
            await lifetime.stop(self._process, grace_seconds)

    @property
    def address(self) -> Address:
        """Where it listens; known before it starts, unless it chooses its port itself."""
        if self._address is None and self._service.port.printed is None:
            # As late as may be: others take free ports, too.
            self._address = Address(_HOST, self._service.port.number or free_port())
        if self._address is None:
            raise ApplicationError(f"{self.name} has not printed its address yet")
        return self._address

    @property
    def is_placed(self) -> bool:
        """Whether it is known where it listens."""
        return self._address is not None or self._service.port.printed is None

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    def how_it_ended(self) -> str:
        """With which code or signal, and what it wrote last."""
        code = self._process.returncode if self._process is not None else None
        how = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        return f"{how}{self.last_words()}"

    def last_words(self) -> str:
        """The end of its log, to follow what is said of it."""
        shown = self.log.tail(ended=not self.running)
        if not shown:
            return "; it wrote nothing"
        return f": {shown[0]}" if len(shown) == 1 else "\n".join(("; the end of its log:", *shown))

    def _command(self, environment: Mapping[str, str]) -> list[str]:
        """The words with what the variables hold, after the program's path."""
        known = {**os.environ, **environment}
        try:
            program, *words = (string.Template(it).substitute(known) for it in self._service.command)
        except KeyError as error:
            raise ApplicationError(f"the command of {self.name} uses ${error.args[0]}, which is not set") from error
        except ValueError as error:
            raise ApplicationError(f"the command of {self.name} cannot be read: {error}; write $$ for $") from error
        found = _found(program, self._service.folder)
        if found is None:
            raise ApplicationError(f"{self.name} cannot start: no program `{program}` here or on the PATH")
        return [found, *words]

    async def _ready(self) -> None:
        """Waits until it can be called."""
        assert self._process is not None
        deadline = time.monotonic() + self._service.startup_seconds
        while self.running:
            self._look_for_port()
            # It runs on: else whoever else took its port may have answered.
            if self.is_placed and await self._answers(self.address) and self.running:
                return
            if time.monotonic() > deadline:
                where = f"does not accept calls at {self.address}" if self.is_placed else "did not print its address"
                seconds = self._service.startup_seconds
                raise ApplicationError(f"{self.name} {where} within {seconds:g} s{self.last_words()}")
            await asyncio.sleep(_POLL_SECONDS)
        raise ApplicationError(f"{self.name} ended {self.how_it_ended()}")

    def _look_for_port(self) -> None:
        """Finds the port in the whole lines that it has written."""
        pattern = self._service.port.printed
        if pattern is None or self._address is not None:
            return
        lines, self._seen = self.log.lines_from(self._seen, _LOOK_BYTES)
        found = next(filter(None, map(pattern.search, lines)), None)
        if found is not None:
            port = found[1] or ""
            if not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
                raise ApplicationError(f"{self.name} printed {port!r}, which is not a port: correct `printed`")
            self._address = Address(_HOST, int(port))

    async def _answers(self, address: Address) -> bool:
        health = self._service.health
        if health == "tcp":
            return await _listens(address)
        return await (_serves_grpc(address) if health == "grpc" else _serves_page(f"http://{address}{health}"))


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as one:
        one.bind((_HOST, 0))
        return int(one.getsockname()[1])


def check_free(port: int, use: str) -> None:
    """Raises `ApplicationError` where something listens on the port, or nobody may; ``use``: what it is for."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((_HOST, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is in use: stop the program that listens there" if taken else f"is not available: {error.strerror}"
            raise ApplicationError(f"port {port}, which {use}, {why}") from None


def _program(word: str, folder: Path) -> str | None:
    """The path of the program; a relative one with a `/` in it begins at the folder."""
    path = folder / word
    return shutil.which(str(path.absolute())) if "/" in word else shutil.which(word)


async def _listens(address: Address) -> bool:
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _serves_page(url: str) -> bool:

    timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.ok
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _serves_grpc(address: Address) -> bool:
    import grpc  # noqa: PLC0415 -- gRPC takes a while to load

    async with grpc.aio.insecure_channel(str(address), options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = await channel.unary_unary(_HEALTH_METHOD)(b"", timeout=_ASK_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer == _SERVING)
