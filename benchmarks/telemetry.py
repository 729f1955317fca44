"""What telemetry costs a call that passes, on each processor: nothing told, then each part on top of those before it.

    python -m benchmarks.telemetry [--rounds N] [--calls N] [--processors native,wasm,go,python] [--record]

The same chains are built without a part of telemetry each, and take turns: native ones called by a C program as the
loader does, but without a proxy, so that a difference of nanoseconds shows; wasm in an Envoy for each way, at full
load; and the interceptors of clients in Go and Python, whose channel answers at once. Spans and records are taken from
the chain, and only Envoy posts them. An RPC passes two chains where both ends have one.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from appnet.codegen.c import ChainSource, print_chain
from appnet.codegen.c import build as c
from appnet.codegen.c.build import RUNTIME, Host
from appnet.processors.envoy.build import HOSTS as ENVOY
from appnet.processors.envoy.build import HTTP
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.grpc.build import HOSTS as LIBRARIES
from appnet.processors.grpc.container import Container
from appnet.system.zig import compile_c
from benchmarks import report, results
from benchmarks.elements import METHOD, element
from benchmarks.telemetry_clients import in_go, in_python
from benchmarks.telemetry_envoy import NEVER, in_envoy
from tests.processors.grpc.chains import KEY, QUICK, chain_file

_HERE = Path(__file__).parent
_LONG = ("acl", "bandwidth_limit", "circuit_breaker", "concurrency_limit", "fault", "firewall", "rate_limit", "timeout")
_CHAINS = {"1 element": ("firewall",), "4 elements": ("acl", "fault", "firewall", "rate_limit"), "8 elements": _LONG}
_FOUR, _RECORDS = _CHAINS["4 elements"], "logging"
_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@dataclass(frozen=True)
class Way:
    """How much is told. ``told``: flags of C, in the place of those that hosts have.

    ``traced``: one call in so many is sampled, and the context of others says no; 0: callers send none. ``tells``:
    there is a receiver. ``records``: an element records each message.
    """

    name: str
    title: str
    told: tuple[str, ...]
    traced: int = NEVER
    tells: bool = True
    records: bool = False

    def host(self, of: Host) -> Host:
        """The same with only these flags of telemetry."""
        flags = tuple(it for it in of.flags if not it.startswith(("-DAN_WHY", "-DAN_TRACE")))
        return replace(of, name=f"{of.name}-{self.name}", flags=(*flags, *self.told))


_WHY, _ALL = ("-DAN_WHY=1",), ("-DAN_WHY=1", "-DAN_TRACE=1")
WAYS = (
    Way("nothing", "nothing", ("-DAN_COUNT=0",), tells=False),
    Way("untimed", "metrics, without the time in the chain", (f"-DAN_TIMED={1 << 30}",), tells=False),
    Way("metrics", "metrics", (), tells=False),
    Way("refusals", "metrics, and what refusals had read", _WHY, tells=False),
    Way("declined", "and traces, of no call", _ALL),
    Way("one", "and traces, of 1 % of the calls", _ALL, traced=100),
    Way("all", "and traces, of all calls", _ALL, traced=1),
    Way("records", "and traces, of no call; records of each message", _ALL, records=True),
    Way("bare", "no context: metrics, and what refusals had read", _WHY, traced=0, tells=False),
    Way("looked", "no context: and traces", _ALL, traced=0),
)
BEFORE = {
    "untimed": "nothing", "metrics": "nothing", "refusals": "metrics", "declined": "refusals", "one": "refusals",
    "all": "refusals", "records": "declined", "looked": "bare",
}  # fmt: skip
"""Than which a way has one part more."""

Samples = dict[str, list[float]]
"""For each way, the microseconds of each round."""


def in_native(names: Sequence[str], rounds: int, calls: int, tick: Callable[[], None]) -> Samples:
    """What a call takes that passes a native chain of these elements."""
    loop = compile_c((_HERE / "telemetry.c").read_text(), [RUNTIME, HTTP], ["-std=c11", "-O2", "-D_GNU_SOURCE", "-ldl"])
    loop.chmod(0o755)
    found: Samples = {it.name: [] for it in WAYS}
    with tempfile.TemporaryDirectory(prefix="telemetry-") as folder:
        for it in WAYS:
            Path(folder, f"{it.name}.so").write_bytes(c.build(_printed(it, names), it.host(ENVOY[NATIVE])))
        for _ in range(rounds):
            for it in WAYS:
                command = [str(loop), str(Path(folder, f"{it.name}.so")), str(calls), str(it.traced)]
                ran = subprocess.run(command, capture_output=True, text=True, check=True)
                found[it.name].append(float(ran.stdout) / 1e3)
            tick()
    return found


def _printed(way: Way, names: Sequence[str]) -> str:
    elements = [element(it) for it in (*names, *((_RECORDS,) if way.records else ()))]
    return print_chain(ChainSource("benchmark", "1", ((METHOD, elements),)))


def _in_wasm(rounds: int, tick: Callable[[], None]) -> Samples:
    modules = {it.name: (c.build(_printed(it, _FOUR), it.host(ENVOY[WASM])), it.traced) for it in WAYS}
    return in_envoy(modules, rounds, tick)


def _client_chains(folder: Path) -> list[dict[str, object]]:
    """Writes a chain for each way, for Go and Python; the ways as these are told them."""

    def built(way: Way, code: str) -> bytes:
        return Container({_MACHINE: c.build(code, way.host(LIBRARIES[_MACHINE]))}).pack()

    programs = [(name, QUICK[name]) for name in ("firewall", "rate_limit", "header", "record")]
    for it in WAYS:
        file = chain_file(
            f"{it.name}.client", {"UnaryCall": programs if it.records else programs[:3]},
            server=False, records="nobody:0" if it.tells else "", built=partial(built, it),
        )  # fmt: skip
        (folder / f"{it.name}.client.chains").write_bytes(file)
    (folder / "trusted").write_text(KEY.public_text)
    return [asdict(it) for it in WAYS]


def rows_of(found: Mapping[str, Samples]) -> tuple[list[results.Row], list[list[str]]]:
    """For each processor what a call takes, relative to nothing told, and how much more than with a part less; and the
    tables of these metrics."""
    rows, tables = [], []
    for name, samples in found.items():
        more = f"{name}: more than without it"
        rows += results.summarize(samples, name, "us", "nothing")
        for way, before in BEFORE.items():
            added = statistics.median(it - less for it, less in zip(samples[way], samples[before], strict=True))
            rows.append(results.Row(way, more, results.rounded(added), "us"))
        tables.append([name, more])
    return rows, tables


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=200_000, help="of each way in a round, native")
    parser.add_argument("--processors", default="native,wasm,go,python")
    results.add_record_option(parser)
    given, console = parser.parse_args(), Console()
    chosen, found = given.processors.split(","), {}
    with Progress(console=console, transient=True) as progress, tempfile.TemporaryDirectory() as folder:
        task = progress.add_task("", total=None)

        def tick() -> None:
            progress.update(task, advance=1)

        for title, names in _CHAINS.items() if "native" in chosen else ():
            found[f"native, {title}"] = in_native(names, given.rounds, given.calls, tick)
        if "wasm" in chosen:
            found["Envoy with wasm, 4 elements"] = _in_wasm(given.rounds, tick)
        ways = _client_chains(Path(folder))
        if "go" in chosen:
            found["gRPC-Go, 3 elements"] = in_go(Path(folder), ways, given.rounds * 20)
        if "python" in chosen:
            found["gRPC-Python, 3 elements"] = in_python(Path(folder), ways, given.rounds * 5)
    rows, tables = rows_of(found)
    titles = {it.name: it.title for it in WAYS}
    for some in tables:
        console.print(report.table([it for it in rows if it.metric in some], titles, "medians over rounds"))
    context = {"rounds": given.rounds, "calls_a_round": given.calls, "titles": titles, "tables": tables}
    console.print(f"written: {results.save('telemetry', rows, context, record=given.record)}")


if __name__ == "__main__":
    main()
