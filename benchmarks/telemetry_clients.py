"""The part of `benchmarks.telemetry` that measures interceptors of clients."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appnet.grpc.client import ClientInterceptor, Details
from appnet.grpc.outcome import Outcome
from tests.grpc.service import METHODS, SERVICE, end_with, message, request
from tests.processors.grpc.go_module import MODULE
from tests.support.go import find_go

_CALLS = 500
_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"


def in_go(folder: Path, ways: Sequence[dict[str, Any]], rounds: int) -> dict[str, list[float]]:
    """Microseconds of CPU of a client's interceptor, for each way and round. ``folder``: has their chains."""
    told = [{"Name": it["name"], "Traced": it["traced"], "Tells": it["tells"]} for it in ways]
    environment = os.environ | {"APPNET_CHAINS": str(folder), "APPNET_BENCH": str(rounds)}
    environment["APPNET_TELEMETRY"] = json.dumps(told)
    command = [find_go(), "test", "-count=1", "-run", "TestTelemetryBenchmark$", "-v", "-timeout", "60m", "."]
    run = subprocess.run(command, cwd=MODULE, env=environment, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return {it["way"]: [took / 1e3 for took in it["rounds"]] for it in lines}


def in_python(folder: Path, ways: Sequence[dict[str, Any]], rounds: int) -> dict[str, list[float]]:
    """The same in Python."""
    ends = {it["name"]: end_with((folder / f"{it['name']}.client.chains").read_bytes(), server=False) for it in ways}
    interceptors = {name: ClientInterceptor(end) for name, end in ends.items()}
    found: dict[str, list[float]] = {it["name"]: [] for it in ways}
    for round_ in range(rounds + 1):
        for it in ways:
            took = _cpu_us(interceptors[it["name"]], it["traced"])
            if round_ > 0:  # in the first, all of it is new
                found[it["name"]].append(took)
            current = ends[it["name"]].current
            assert current is not None
            for chain in current.chains:
                chain.instance.records(time.monotonic_ns(), time.time_ns())
                chain.instance.spans(time.monotonic_ns(), time.time_ns())
    return found


def _cpu_us(interceptor: Any, traced: int) -> float:
    plain, not_sampled, sampled = (
        Details(f"/{SERVICE}/UnaryCall", None, metadata, None, None, None)
        for metadata in (None, (("traceparent", f"{_PARENT}0"),), (("traceparent", f"{_PARENT}1"),))
    )
    answer, given = Outcome(response=message(METHODS["UnaryCall"][1])()), request(b"hello")
    before = time.thread_time_ns()
    for call in range(_CALLS):
        details = plain if traced == 0 else sampled if call % traced == traced - 1 else not_sampled
        interceptor.intercept_unary_unary(lambda _details, _given: answer, details, given).result()
    return (time.thread_time_ns() - before) / _CALLS / 1e3
