"""Whether state stays bounded: the proxy's memory under RPCs that all have keys of their own.

    python -m benchmarks.memory [--calls N] [--record]

A first element gives each call a key that no other has; a cache, sticky load balancing and metrics keep what they keep
for each key. One Envoy without elements, one with the chain as a native module and one with it as wasm get their calls
in turn, a hundredth at a time, as fast as they take them, and their resident memory is noted after each.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir.compile import compile_element
from appnet.measure.load import LoadResult, LoadSettings, Request, run_load
from appnet.processors.envoy.build import build
from appnet.processors.envoy.calibrate.rig import MeasuredChain, MeasuredProxy, rig
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.options import ChainOptions
from benchmarks import report, results
from benchmarks.dataplane import message
from benchmarks.plans import METHOD, SAMPLES
from benchmarks.signing import RUN_KEY

KEY = "session"
TITLES = {"router": "router only", "native": "native module", "wasm": "WebAssembly"}
GROWTH = "growth for a million calls, last half"

_DISTINCT = f"""\
state:
    pass

init():
    pass

req(rpc):
    set_metadata(rpc, '{KEY}', concat('key-', to_string(rpc_id())))
    set(rpc, 'body', concat(get(rpc, 'body'), to_string(rpc_id())))
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
_ELEMENTS = {
    NATIVE: ("cache", "sticky", "metrics"),
    WASM: ("sticky", "metrics"),  # answers from a cache would pass a second filter
}
_STEPS = 100
_SHOWN = (0, 1, 10, 25, 50, 75, 100)
_CHECKED = 2_000


def chains(server: MeasuredChain) -> dict[str, MeasuredChain]:
    """The chain of each case; ``server`` is the one without elements."""
    options = ChainOptions("benchmark", "benchmark", "1", backend_count=1)
    loader = loader_library().stem.removeprefix("lib")
    native = native_filter("native", _module(NATIVE), options, loader, RUN_KEY)
    wasm = wasm_filter("wasm", _module(WASM), options)
    return {
        "router": server,
        "native": MeasuredChain([native], server.upstream, chooses_host=True),
        "wasm": MeasuredChain([wasm], server.upstream, chooses_host=True),
    }


def _module(target: str) -> bytes:
    distinct = compile_element(TextSource(Path("distinct.appnet"), _DISTINCT), METHOD).element
    names = _ELEMENTS[target]
    others = (compile_element(FileSource(SAMPLES / "elements" / f"{it}.appnet"), METHOD).element for it in names)
    return build(print_chain(ChainSource("memory", "1", ((METHOD, (distinct, *others)),))), target)


def resident_bytes(pid: int) -> int:
    """Resident memory of the process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


async def run(calls: int, tick: Callable[[str], None]) -> dict[str, list[float]]:
    """Resident memory in MiB at the start and after each hundredth of the calls, by case."""
    found: dict[str, list[float]] = {it: [] for it in TITLES}
    async with rig(RUN_KEY, echo_headers=[KEY]) as around:
        proxies = {
            name: await around.start(name, {name: it}) for name, it in chains(MeasuredChain([], around.server)).items()
        }
        for name, proxy in proxies.items():
            check_keys(name, await _load(proxy, LoadSettings(8, 8, count=_CHECKED, capture=(KEY,))))
            found[name].append(_mebibytes(proxy))
        step = LoadSettings(8, 8, count=calls // _STEPS, seconds=600)
        for number in range(1, _STEPS + 1):
            for name, proxy in proxies.items():
                tick(f"{number} of {_STEPS}: {TITLES[name]}")
                result = await _load(proxy, step)
                if set(result.by_status()) != {(0, "")} or result.finished != step.count:
                    raise RuntimeError(f"{TITLES[name]}: {result.finished} calls ended with {result.by_status()}")
                found[name].append(_mebibytes(proxy))
    return found


async def _load(proxy: MeasuredProxy, settings: LoadSettings) -> LoadResult:
    (listener,) = proxy.listeners.values()
    return await asyncio.to_thread(run_load, listener.port, [Request(message("user-"))], settings)


def _mebibytes(proxy: MeasuredProxy) -> float:
    return resident_bytes(proxy.process.pid) / 2**20


def check_keys(name: str, result: LoadResult) -> None:
    """Raises RuntimeError unless each call had a key of its own, or none where there are no elements."""
    keys = {it.captured[0] for it in result.outcomes}
    if len(keys) != (1 if name == "router" else result.finished):
        raise RuntimeError(f"{TITLES[name]}: {result.finished} calls had {len(keys)} keys")


def rows(found: Mapping[str, Sequence[float]], calls: int) -> Iterator[results.Row]:
    """Memory on the way, and what it grew by in the last half."""
    for name, values in found.items():
        for step in _SHOWN:
            yield results.Row(name, f"at {step}%", results.rounded(values[step]), "MiB")
        grown = (values[-1] - values[_STEPS // 2]) * 2**10 / (calls / 2 / 1e6)
        yield results.Row(name, GROWTH, results.rounded(grown), "KiB")


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory under distinct keys.")
    parser.add_argument("--calls", type=int, default=10_000_000, help="through each proxy")
    results.add_record_option(parser)
    options, console = parser.parse_args(), Console()
    if options.calls < _STEPS:
        parser.error(f"--calls: at least {_STEPS}")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=_STEPS * len(TITLES))
        found = asyncio.run(run(options.calls, lambda what: progress.update(task, advance=1, description=what)))
    table = list(rows(found, options.calls))
    console.print(report.table(table, TITLES, f"resident memory of Envoy after a share of {options.calls:,} calls"))
    context = {
        "calls": options.calls,
        "elements": _ELEMENTS,
        "titles": TITLES,
    }
    file = results.save("memory", table, context, record=options.record)
    places = [options.calls * step / _STEPS / 1e6 for step in range(_STEPS + 1)]
    curves = {TITLES[name]: (places, values) for name, values in found.items()}
    labels = ("million calls, each with a key of its own", "resident memory, MiB")
    report.curves(curves, labels, file.with_suffix(".svg"))
    console.print(f"written: {file}, {file.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
