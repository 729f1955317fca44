"""The part of `benchmarks.telemetry` that measures whole proxies."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from appnet.measure.cores import Cores, running_on
from appnet.measure.load import LoadSettings, Request, Upstream, run_load
from appnet.measure.sink import Sink
from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.options import ChainOptions
from appnet.system.address import Address
from benchmarks.cases import REFUSED_KEY, Case
from benchmarks.dataplane import cost
from benchmarks.elements import REFUSALS, requests
from benchmarks.proxies import Proxy, Rig

NEVER = 1 << 31
_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
_LOAD = LoadSettings(8, 8, seconds=1.0)


def in_envoy(modules: Mapping[str, tuple[bytes, int]], rounds: int, tick: Callable[[], None]) -> dict[str, list[float]]:
    """Microseconds of CPU per RPC at full load of an Envoy with one worker, for each wasm module and round.

    Beside each stands of how many calls one is traced, as `traffic` has it.
    """
    return asyncio.run(_measure(modules, rounds, tick))


async def _measure(
    modules: Mapping[str, tuple[bytes, int]], rounds: int, tick: Callable[[], None]
) -> dict[str, list[float]]:
    cores, found = Cores.divide(), dict[str, list[float]]((it, []) for it in modules)
    async with AsyncExitStack() as stack:
        stack.enter_context(running_on(cores.load))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = Address("127.0.0.1", stack.enter_context(Upstream()).port)
        sink = await stack.enter_async_context(Sink())
        xds = await stack.enter_async_context(XdsServer())
        rig, proxies = Rig(folder, xds, sink.address, upstream, cores), list[Proxy]()
        for name, (module, traced) in modules.items():
            proxy = await rig.start_proxy(_case(name, module))
            stack.push_async_callback(proxy.process.stop)
            await asyncio.to_thread(run_load, proxy.port, traffic(traced), _LOAD)
            proxies.append(proxy)
        shuffle = random.Random(1)
        for _ in range(rounds):
            for proxy in shuffle.sample(proxies, len(proxies)):
                _, took = await cost(proxy, traffic(modules[proxy.case.name][1]), _LOAD)
                found[proxy.case.name].append(took)
            tick()
    return found


def _case(name: str, module: bytes) -> Case:
    options = ChainOptions("benchmark", "benchmark", "1", backend_count=1)
    return Case(name, name, discovered=(wasm_filter(name, module, options),), refusals=frozenset({REFUSALS["fault"]}))


def traffic(traced: int) -> list[Request]:
    """Calls that elements let pass, but for faults; of ``traced``, one has a context that is sampled, others one
    that is not; 0: none has any."""
    passing = [it for it in requests() if it.metadata[0][1] != REFUSED_KEY]
    if traced == 0:
        return passing
    shares = {1: {1: 1}, NEVER: {0: 1}}.get(traced, {1: 1, 0: traced - 1})
    return [
        replace(it, metadata=(*it.metadata, ("traceparent", f"{_PARENT}{sampled}")), weight=weight)
        for it in passing
        for sampled, weight in shares.items()
    ]
