"""What chains in a program's own gRPC library cost: interceptors alone, RPCs over loopback, an echo beside sidecars.

    python -m benchmarks.grpc [--rounds N] [--echo-rounds N] [--record]

The ways take turns in short batches: nothing, compiled chains, and the same as one would write them by hand for this
very message. Interceptors are measured by the CPU time of their thread, RPCs by that of the process, and the
echo by that of all processes on its way.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from appnet.processors.envoy.targets import NATIVE
from benchmarks import echo, report, results
from tests.processors.grpc.chains import write_chains
from tests.processors.grpc.go_module import MODULE
from tests.support.go import find_go, run_go

INTERCEPTOR, ALLOCATIONS, LOOPBACK, ADDED = (
    *("CPU of a client's interceptor", "allocations"),
    *("CPU of an RPC over loopback, one process", "CPU added to an echo"),
)
TITLES = {
    "nothing": "no interceptor",
    "none": "a chain that does nothing",
    "one by hand": "1 element, by hand in Go",
    "one": "1 element",
    "four by hand": "4 elements, by hand in Go",
    "four": "4 elements",
    "twelve by hand": "12 elements, by hand in Go",
    "twelve": "12 elements",
    "four by hand on both sides": "4 elements at each end, by hand in Go",
    "four on both sides": "4 elements at each end",
    **echo.TITLES,
}


def in_go(rounds: int) -> list[dict[str, Any]]:
    """A row for each way: what each round took, in nanoseconds."""
    with tempfile.TemporaryDirectory() as folder:
        write_chains(Path(folder))
        environment = os.environ | {"APPNET_CHAINS": folder, "APPNET_BENCH": str(rounds)}
        command = [find_go(), "test", "-count=1", "-run", "Benchmark$", "-v", "-timeout", "60m", "."]
        run = subprocess.run(command, cwd=MODULE, env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def rows_of(rows: list[dict[str, Any]]) -> list[results.Row]:
    """What was measured in one process, relative to what was written by hand."""
    alone, whole = (
        {it["way"]: it["rounds"] for it in rows if bool(it.get("end_to_end")) is end} for end in (False, True)
    )
    whole = {way if way != "nothing" else "no chain": values for way, values in whole.items()}
    microseconds = {way: [it / 1000 for it in values] for way, values in whole.items()}
    inside = [it for by, ways in _by_hand(alone).items() for it in results.summarize(ways, INTERCEPTOR, "ns", by)]
    return [
        *sorted(inside, key=lambda it: list(alone).index(it.case)),
        *(results.Row(it["way"], ALLOCATIONS, round(it["allocations"]), "") for it in rows if "allocations" in it),
        *results.summarize(microseconds, LOOPBACK, "us", "four by hand on both sides"),
    ]


def _by_hand(alone: dict[str, list[float]]) -> dict[str, dict[str, list[float]]]:
    """The ways by what they are told relative to: the same by hand, or what has no such thing to four by hand."""
    groups: dict[str, dict[str, list[float]]] = {}
    for way, values in alone.items():
        own = way if way.endswith(" by hand") else f"{way} by hand"
        groups.setdefault(own if own in alone else "four by hand", {})[way] = values
    return {by_hand: {by_hand: alone[by_hand], **ways} for by_hand, ways in groups.items()}


def echo_rows(samples: dict[str, dict[str, list[float]]]) -> list[results.Row]:
    """What was measured of the echo, relative to no mesh; and what each way adds, relative to two native sidecars."""
    cpu = samples[echo.CPU]
    added = {
        way: [value - by for value, by in zip(values, cpu[echo.DIRECT], strict=True)]
        for way, values in cpu.items()
        if way != echo.DIRECT
    }
    return [
        *(it for metric in samples for it in results.summarize(samples[metric], metric, "us", echo.DIRECT)),
        *results.summarize(added, ADDED, "us", NATIVE),
    ]


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.grpc", description="chains inside of gRPC-Go")
    options.add_argument("--rounds", type=int, default=300, help="of interceptors, and of RPCs in one process")
    options.add_argument("--echo-rounds", type=int, default=echo.Plan.rounds)
    results.add_record_option(options)
    given, console, plan = options.parse_args(), Console(), echo.Plan(rounds=options.parse_args().echo_rounds)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("interceptors", total=1 + (plan.rounds + 1) * len(echo.TITLES))
        rows = rows_of(in_go(given.rounds))
        rows += echo_rows(echo.measure(plan, lambda what: progress.update(task, advance=1, description=what)))
    titles = {**TITLES, "no chain": "no interceptor"}
    tables = [[INTERCEPTOR, ALLOCATIONS], [LOOPBACK], [echo.CPU, ADDED, echo.P50, echo.P99]]
    for metrics in tables:
        console.print(report.table([it for it in rows if it.metric in metrics], titles, "medians over rounds"))
    context = {
        "rounds": plan.rounds, "calls_a_round": plan.calls, "rate": plan.rate, "interceptor_rounds": given.rounds,
        "titles": titles, "tables": tables, "go": run_go([find_go(), "env", "GOVERSION"]).strip(),
    }  # fmt: skip
    file = results.save("grpc", rows, context, record=given.record)
    shown = [it for it in rows if it.metric == echo.CPU]
    report.plot(shown, titles, file.with_suffix(".svg"), baseline=titles[echo.DIRECT])
    console.print(f"written: {file}, {file.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
