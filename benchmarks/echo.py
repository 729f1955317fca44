"""An echo call in Go between two processes, with chains in the programs, in two sidecars, or nowhere.

All ways take turns in each round. CPU time is that of everything that a call passes: both programs, and the Envoys.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.processors.envoy.build import build
from appnet.processors.envoy.calibrate.rig import MeasuredChain, Rig, rig
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.options import ChainOptions
from appnet.system.address import Address
from benchmarks.signing import RUN_KEY
from tests.processors.grpc.chains import QUICK, chain_file, methods_of
from tests.processors.grpc.go_module import MODULE
from tests.support.go import find_go, run_go

CPU, P50, P99 = "CPU per RPC, all processes", "latency p50", "latency p99"
DIRECT, HAND, LIBRARY, ROUTERS = "direct", "hand-echo", "library", "routers"
TITLES = {
    DIRECT: "no mesh",
    HAND: "four by hand in Go, both ends",
    LIBRARY: "AppNet in the programs, four at each end",
    ROUTERS: "two Envoys without elements",
    NATIVE: "two sidecars, native, four in each",
    WASM: "two sidecars, WebAssembly, four in each",
}
_STREAMS = 16


@dataclass(frozen=True)
class Plan:
    """``calls`` of each way in each round as fast as they go, then as many at ``rate`` in a second, for latencies."""

    rounds: int = 20
    calls: int = 4_000
    rate: float = 800.0


@dataclass(frozen=True)
class _Way:
    """``server``: its process; ``chains``: of the client, as its input has them. ``proxies``: processes on the way."""

    server: subprocess.Popen[str]
    target: str
    chains: str
    proxies: Sequence[int] = ()


def measure(plan: Plan, tick: Callable[[str], None]) -> dict[str, dict[str, list[float]]]:
    """By metric and way, a value for each round, in microseconds."""
    with tempfile.TemporaryDirectory(prefix="echo-") as folder:
        program = Path(folder) / "program"
        run_go([find_go(), "test", "-c", "-o", str(program), "."], MODULE)
        return asyncio.run(_measured(program, Path(folder), plan, tick))


async def _measured(
    program: Path, folder: Path, plan: Plan, tick: Callable[[str], None]
) -> dict[str, dict[str, list[float]]]:
    samples: dict[str, dict[str, list[float]]] = {it: {way: [] for way in TITLES} for it in (CPU, P50, P99)}
    async with rig(RUN_KEY) as around:
        chains = _chain_files(folder / "chains", around.sink)
        with (
            _started(program, "server", "") as plain,
            _started(program, "server", "hand") as by_hand,
            _started(program, "server", str(chains / "server")) as inside,
            _started(program, "client", "") as client,
        ):
            address = _line(plain)
            sidecars, proxies = await _sidecars(around, Address.parse(address))
            ways = {
                DIRECT: _Way(plain, address, ""),
                HAND: _Way(by_hand, _line(by_hand), "hand"),
                LIBRARY: _Way(inside, _line(inside), str(chains / "client")),
                **{name: _Way(plain, str(at), "", proxies) for name, at in sidecars.items()},
            }
            for pid in (*proxies, client.pid, plain.pid, by_hand.pid, inside.pid):
                _unpin(pid)
            shuffle = random.Random(1)
            for number in range(plan.rounds + 1):
                for name in shuffle.sample(list(ways), len(ways)):
                    tick(f"round {number}: {TITLES[name]}")
                    found = await asyncio.to_thread(_round, client, ways[name], plan)
                    for metric, value in found.items() if number else ():  # the first warms up
                        samples[metric][name].append(value)
    return samples


def _round(client: subprocess.Popen[str], way: _Way, plan: Plan) -> dict[str, float]:
    pids = (client.pid, way.server.pid, *way.proxies)
    before = sum(map(_cpu_nanoseconds, pids))
    _calls(client, way, plan.calls)
    used = sum(map(_cpu_nanoseconds, pids)) - before
    paced = _calls(client, way, round(plan.rate), plan.rate)
    return {CPU: used / plan.calls / 1000, P50: paced["p50"] / 1000, P99: paced["p99"] / 1000}


def _calls(client: subprocess.Popen[str], way: _Way, calls: int, rate: float = 0.0) -> dict[str, float]:
    told = {"Target": way.target, "Chains": way.chains, "Calls": calls, "Streams": _STREAMS, "Rate": rate}
    _stream(client.stdin).write(json.dumps(told) + "\n")
    _stream(client.stdin).flush()
    found: dict[str, float] = json.loads(_line(client))
    return found


# --- what a call passes ---


def _chain_files(folder: Path, records: Address) -> Path:
    for server, side in ((False, "client"), (True, "server")):
        (folder / side).mkdir(parents=True)
        programs = {"UnaryCall": list(QUICK.items())}
        file = chain_file(f"four.{side}", programs, server=server, records=str(records))
        (folder / side / "four.chains").write_bytes(file)
    return folder


async def _sidecars(around: Rig, server: Address) -> tuple[dict[str, Address], tuple[int, ...]]:
    """Where calls go in, by what both Envoys on their way have; and these Envoys' processes."""
    code = print_chain(ChainSource("four", "1", methods_of({"UnaryCall": list(QUICK.items())})))
    loader = loader_library().stem.removeprefix("lib")
    options = ChainOptions("echo", "echo", "1", backend_count=1)
    native, wasm = [await asyncio.to_thread(build, code, it) for it in (NATIVE, WASM)]
    upstream, pids = dict.fromkeys((ROUTERS, NATIVE, WASM), server), list[int]()
    for side in ("server", "client"):
        filters: Mapping[str, list[Any]] = {
            ROUTERS: [],
            NATIVE: [native_filter(f"{side}-native", native, options, loader, RUN_KEY)],
            WASM: [wasm_filter(f"{side}-wasm", wasm, options)],
        }
        chains = {f"{side}-{name}": MeasuredChain(it, upstream[name]) for name, it in filters.items()}
        proxy = await around.start(side, chains)
        upstream = {name: proxy.listeners[f"{side}-{name}"] for name in filters}
        pids.append(proxy.process.pid)
    return upstream, tuple(pids)


@contextmanager
def _started(program: Path, role: str, chains: str) -> Iterator[subprocess.Popen[str]]:
    command = [program, "-test.run", "TestEcho$", "-test.v=false", "-test.timeout", "2h"]
    variables = os.environ | {"APPNET_ECHO": role, "APPNET_ECHO_CHAINS": chains}
    process = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        _stream(process.stdin).close()
        process.wait(20)
        _stream(process.stdout).close()


def _line(process: subprocess.Popen[str]) -> str:
    line = _stream(process.stdout).readline().strip()
    if not line:
        raise RuntimeError(f"a program in Go ended with {process.wait()}")
    return line


def _stream(it: IO[str] | None) -> IO[str]:
    assert it is not None
    return it


def _cpu_nanoseconds(pid: int) -> int:
    """CPU time of a process's threads so far."""
    return sum(int(it.read_text().split()[0]) for it in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _unpin(pid: int) -> None:
    """Lets a process run on any core."""
    every = set(range(os.cpu_count() or 1))
    for it in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(it.name), every)
