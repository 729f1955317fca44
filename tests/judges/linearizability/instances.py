"""Processors that can be killed and come back: Envoys, and a program in Go."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Protocol

from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.system import lifetime
from appnet.system.address import Address
from tests.support.go_echo import echo_program

_START_SECONDS = 60


class Instance(Protocol):
    """``name``: of its processor, among others of a scene."""

    name: str

    async def start(self) -> Address:
        """Starts it, for the first time or again, and says where it takes calls."""

    async def kill(self) -> None:
        """As kill -9."""

    async def stop(self) -> None:
        """Has it end by itself."""


class EnvoyInstance:
    """An Envoy with these settings."""

    def __init__(self, name: str, settings: EnvoySettings) -> None:
        self.name = name
        self._settings = settings
        self._envoy: EnvoyProcess | None = None

    async def start(self) -> Address:
        self._envoy = envoy = EnvoyProcess(self._settings)
        await envoy.start()
        await envoy.ready()
        return await envoy.listener_address("ingress")

    async def kill(self) -> None:
        assert self._envoy is not None
        os.kill(self._envoy.pid, signal.SIGKILL)
        await self._envoy.stop()

    async def stop(self) -> None:
        if self._envoy is not None:
            await self._envoy.stop()


class ProgramInstance:
    """The echo server in Go with the chains in a folder; what it complains of goes to a file beside them."""

    def __init__(self, name: str, chains: Path) -> None:
        self.name = name
        self._chains = chains
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> Address:
        program = await asyncio.to_thread(echo_program)
        with (self._chains / "errors.log").open("ab") as errors:
            self._process = process = await lifetime.start_bound(
                [program, self._chains], stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        return Address.parse(line.decode().strip())

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None:
            await lifetime.stop(self._process, _START_SECONDS)
