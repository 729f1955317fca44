"""What calls feel of a store that is away for ten seconds: those that need it, and others through the same proxy.

    python -m benchmarks.store_away [--seconds X] [--record]

One Envoy with one worker has two listeners, each with a chain: a quota in the store, and one without state. Both are
under load, first with the store, then without. Then the store is started again, and a call tried until one passes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from appnet.language.statuses import STATUS_CODES
from appnet.measure.cores import Cores, running_on
from appnet.measure.load import LoadResult, LoadSettings, Upstream, run_load
from appnet.measure.sink import Sink
from appnet.processors.envoy.filters import native_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.state.server import running_store, store_folder, store_url
from appnet.system.address import Address
from benchmarks import report, results
from benchmarks.cases import Case
from benchmarks.dataplane import WrongOutcomeError
from benchmarks.proxies import Rig
from benchmarks.signing import RUN_KEY
from benchmarks.state import ELEMENTS, NONE, STRONG, Way, module, requests

LATENCY, TAIL, REFUSED, BACK = "latency p50", "latency p99", "refused", "a call passes again after"
OTHERS, OTHERS_AWAY, NEEDY, NEEDY_AWAY = "others", "others-away", "needy", "needy-away"
TITLES = {
    OTHERS: "without state, store there",
    OTHERS_AWAY: "without state, store away",
    NEEDY: "strong state, store there",
    NEEDY_AWAY: "strong state, store away: refused",
}
_TIMEOUT_SECONDS = 0.05  # the usual
_PATIENCE_SECONDS = 30.0
_PASSED = (0, "")
_REFUSED = (STATUS_CODES["UNAVAILABLE"], "state of quota is unavailable")
_NEEDY, _OTHERS = LoadSettings(2, 4), LoadSettings(1, 2)


def case(store: str, upstream: Address) -> Case:
    """Both listeners in one proxy."""
    loader = loader_library().stem.removeprefix("lib")
    options = StoreOptions(store, "benchmark", _TIMEOUT_SECONDS, merge_every=0.1)
    chains = {
        STRONG: ChainOptions("benchmark", STRONG, "1", store=options),
        NONE: ChainOptions("benchmark", NONE, "1"),
    }
    filters = {it: native_filter(it, module(ELEMENTS[it]), chain, loader, RUN_KEY) for it, chain in chains.items()}
    beside = (*sidecar_resources(Sidecar(NONE, [NONE], [upstream])), filters[NONE])
    return Case(STRONG, STRONG, discovered=(filters[STRONG],), resources=beside)


class Calls:
    """Calls through both listeners of the proxy at these ports."""

    def __init__(self, needy: int, others: int) -> None:
        self._ports = {STRONG: needy, NONE: others}

    def make(self, name: str, settings: LoadSettings) -> LoadResult:
        """Those of one listener."""
        return run_load(self._ports[name], requests(Way(name, name), 0), settings)

    async def both(self, seconds: float, *ends: tuple[int, str]) -> list[LoadResult]:
        """Through both at once: with strong state, and without. Raises `WrongOutcomeError` where a call ends otherwise
        than expected: those with strong state by one of ``ends``."""
        loads = ((STRONG, _NEEDY, set(ends)), (NONE, _OTHERS, {_PASSED}))
        found = await asyncio.gather(
            *(asyncio.to_thread(self.make, name, replace(load, seconds=seconds)) for name, load, _ in loads)
        )
        for it, (name, _, expected) in zip(found, loads, strict=True):
            if it.failed or not set(it.by_status()) <= expected:
                raise WrongOutcomeError(f"{name}: calls ended with {it.by_status()}")
        return found

    async def until_passed(self) -> float:
        """Seconds until a call with strong state passes."""
        begin = time.monotonic()
        while _PASSED not in (await asyncio.to_thread(self.make, STRONG, LoadSettings(1, 1, seconds=0.01))).by_status():
            if time.monotonic() > begin + _PATIENCE_SECONDS:
                raise WrongOutcomeError("no call passes, though the store is back")
        return time.monotonic() - begin


async def run(seconds: float, say: Console) -> list[results.Row]:
    """All of it."""
    cores, at = Cores.divide(), store_folder()
    async with AsyncExitStack() as stack:
        stack.enter_context(running_on(cores.load))
        store = stack.enter_context(ExitStack())
        store.enter_context(running_store(at))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = Address("127.0.0.1", stack.enter_context(Upstream()).port)
        sink = await stack.enter_async_context(Sink())
        xds = await stack.enter_async_context(XdsServer())
        proxy = await Rig(folder, xds, sink.address, upstream, cores).start_proxy(case(store_url(at), upstream))
        stack.push_async_callback(proxy.process.stop)
        calls = Calls(proxy.port, (await proxy.process.listener_address(NONE)).port)
        await calls.both(1.0, _PASSED, _REFUSED)  # warms up
        say.print("with the store")
        needy, others = await calls.both(seconds, _PASSED, _REFUSED)  # some are, where the machine is busy
        say.print("without the store")
        store.close()
        await calls.both(1.0, _PASSED, _REFUSED)  # what was under way ends otherwise
        needy_away, others_away = await calls.both(seconds, _REFUSED)
        store.enter_context(running_store(at))
        back = await calls.until_passed()
    found = {OTHERS: others, OTHERS_AWAY: others_away, NEEDY: needy, NEEDY_AWAY: needy_away}
    return [
        *results.summarize({it: [load.latency.p50 / 1000] for it, load in found.items()}, LATENCY, "us", OTHERS),
        *results.summarize({it: [load.latency.p99 / 1000] for it, load in found.items()}, TAIL, "us", OTHERS),
        *(results.Row(it, REFUSED, _refused(load), "%") for it, load in found.items()),
        results.Row(NEEDY_AWAY, BACK, results.rounded(back * 1000), "ms"),
    ]


def _refused(load: LoadResult) -> float:
    return results.rounded(100 * load.by_status().get(_REFUSED, 0) / load.finished)


def main() -> None:
    """Measures, prints the table, and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_away", description="A store that is away.")
    parser.add_argument("--seconds", type=float, default=10.0, help="with the store, and again without")
    results.add_record_option(parser)
    given = parser.parse_args()
    console = Console()
    rows = asyncio.run(run(given.seconds, console))
    tables = [[LATENCY, TAIL, REFUSED, BACK]]
    console.print(report.table(rows, TITLES, "one round"))
    context = {"seconds": given.seconds, "tables": tables, "titles": TITLES}
    console.print(f"written: {results.save('store_away', rows, context, record=given.record)}")


if __name__ == "__main__":
    main()
