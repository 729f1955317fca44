"""What judging costs as messages grow: the echo sample's firewall reads a short field, the rest is not read.

    python -m benchmarks.payload [--rounds N] [--seconds X] [--record]

As ``benchmarks.dataplane``, with messages of 1 KiB to 1 MiB, which the server sends back.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence

from rich.console import Console

from appnet.measure.load import Request
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.options import ChainOptions
from benchmarks import report, results
from benchmarks.cases import BASELINE, Case, chain_module
from benchmarks.dataplane import Plan, message, run
from benchmarks.signing import RUN_KEY

_SIZES = {"1 KiB": 1 << 10, "32 KiB": 1 << 15, "1 MiB": 1 << 20}  # in the order of the table's columns
_RATES = {"1 KiB": 4000.0, "32 KiB": 1000.0, "1 MiB": 40.0}  # RPC/s, which two cores keep up with
_UNREAD_FIELD = 2 << 3 | 2


def all_cases() -> list[Case]:
    """Router alone, and the firewall on both targets."""
    options = ChainOptions("benchmark", "benchmark", "1", backend_count=1)
    loader = loader_library().stem.removeprefix("lib")
    native = native_filter("native", chain_module(NATIVE, ("firewall",)), options, loader, RUN_KEY)
    wasm = wasm_filter("wasm", chain_module(WASM, ("firewall",)), options)
    return [
        Case(BASELINE, "router only"),
        Case("native", "firewall, native", discovered=(native,)),
        Case("wasm", "firewall, WebAssembly", discovered=(wasm,)),
    ]


def requests(size: int) -> list[Request]:
    """One echo message with ``size`` bytes in a field that no element reads, before the one that the firewall reads."""
    return [Request(_varints(_UNREAD_FIELD, size) + b"x" * size + message("user"))]


def _varints(*numbers: int) -> bytes:
    out = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def _rows(cases: Sequence[Case], plans: Mapping[str, Plan], console: Console) -> list[results.Row]:
    rows: list[results.Row] = []
    for size, plan in plans.items():
        console.print(f"{size} …")
        samples = asyncio.run(run(cases, requests(_SIZES[size]), plan, lambda _: None))
        rows += results.summarize(samples.paced_cpu_us, f"CPU per RPC, {size}", "us", BASELINE)
        rows += results.summarize(samples.p50_us, f"p50, {size}", "us", BASELINE)
    return rows


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.payload", description="CPU per RPC by size.")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0, help="on each case, size and round")
    results.add_record_option(parser)
    options, console, cases = parser.parse_args(), Console(), all_cases()
    plans = {size: Plan(options.rounds, options.seconds, rate) for size, rate in _RATES.items()}
    rows, titles = _rows(cases, plans, console), {case.name: case.title for case in cases}
    console.print(report.table(rows, titles, "at a steady rate; medians over rounds, with the ratio to router only"))
    context = {"rounds": options.rounds, "seconds": options.seconds, "rates": _RATES, "titles": titles}
    console.print(f"written: {results.save('payload', rows, context, record=options.record)}")


if __name__ == "__main__":
    main()
