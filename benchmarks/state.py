"""What shared state costs: a quota that is counted nowhere, in each proxy, in merges, in the store, and over HTTP.

    python -m benchmarks.state [--rounds N] [--seconds X] [--instances N] [--record]

All cases take turns in each round. Sixteen proxies share the strong state; a case makes calls through one, four or all
of them, for one key or for a key that each has alone.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import valkey
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from rich.console import Console
from rich.progress import Progress

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.ir.compile import compile_element
from appnet.language.types import INT
from appnet.measure.cores import Cores, running_on
from appnet.measure.load import LoadResult, LoadSettings, Request, Upstream, run_load
from appnet.measure.sink import Sink
from appnet.processors.envoy.build import build
from appnet.processors.envoy.filters import native_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.state.layout import Change, ChangeKind, Joined, Step, encode, encode_steps, read_joined, script, state_keys
from appnet.state.server import running_store, store_folder, store_url
from appnet.system.address import Address
from appnet.system.zig import compile_c
from benchmarks import report, results
from benchmarks.cases import KEY_HEADER, Case
from benchmarks.dataplane import WrongOutcomeError, message
from benchmarks.elements import METHOD
from benchmarks.gateway import gateway
from benchmarks.proxies import Proxy, Rig
from benchmarks.signing import RUN_KEY

ALONE, ADDED = "latency p50, one call at a time", "latency added, p50"
CPU, CPU_ADDED = "CPU per RPC", "CPU added"
RATE, LOADED, LEAST = "RPC/s, all proxies", "latency p99", "slowest proxy's share of a fair one"
SHARED_CPU = "CPU of proxies per RPC"
NONE, LOCAL, WEAK, STRONG, OVER_HTTP, TRIP, COMMIT = "none", "local", "weak", "strong", "http", "trip", "commit"
NOTHING = "nothing"
MANY_KEYS = 10_000
_HERE = Path(__file__).parent
_TRIPS = 2_000
_TIMEOUT_SECONDS = 10.0  # nobody is to be refused, however many others are faster

_PASS = """\
state:
    pass

init():
    pass

req(rpc):
    if get(rpc, 'body') == '':
        send(err('no key'), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
QUOTA = """\
state:
    {how}used: Map<string, int>

init():
    pass

req(rpc):
    key = get(rpc, 'body')
    count = get(used, key, 0) + 1
    set(used, key, count)
    if count > 1000000000:
        send(err('quota exceeded', RESOURCE_EXHAUSTED), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
ELEMENTS = {
    NONE: _PASS,
    LOCAL: QUOTA.format(how=""),
    WEAK: QUOTA.format(how="@consistency(weak) @combiner(sum)\n    "),
    STRONG: QUOTA.format(how="@consistency(strong)\n    "),
}


@dataclass(frozen=True)
class Way:
    """Calls through so many proxies of a kind; ``own``: each proxy's for a key of its own; ``many``: for many keys."""

    proxies: str
    title: str
    instances: int = 1
    own: bool = False
    many: bool = False


@dataclass(frozen=True)
class Plan:
    """``seconds`` of each way on full load, and of each with one proxy again with one call at a time.

    On full load, ``connections`` times ``streams`` calls are under way at each proxy.
    """

    rounds: int = 6
    seconds: float = 1.5
    instances: int = 16
    connections: int = 4
    streams: int = 8

    @property
    def full(self) -> LoadSettings:
        """As much as goes."""
        return LoadSettings(self.connections, self.streams, seconds=self.seconds)

    @property
    def alone(self) -> LoadSettings:
        """One call at a time."""
        return LoadSettings(1, 1, seconds=self.seconds)

    def ways(self) -> dict[str, Way]:
        """By name; those with one proxy first."""
        few, many = max(2, self.instances // 4), self.instances
        return {
            NONE: Way(NONE, "no state"),
            LOCAL: Way(LOCAL, "local"),
            WEAK: Way(WEAK, "weak"),
            STRONG: Way(STRONG, "strong, 1 proxy"),
            OVER_HTTP: Way(OVER_HTTP, "over HTTP, an operation each"),
            f"hot{few}": Way(STRONG, f"strong, {few} proxies, one key", few),
            f"hot{many}": Way(STRONG, f"strong, {many} proxies, one key", many),
            f"own{few}": Way(STRONG, f"strong, {few} proxies, a key each", few, own=True),
            f"own{many}": Way(STRONG, f"strong, {many} proxies, a key each", many, own=True),
            f"many{many}": Way(STRONG, f"strong, {many} proxies, {MANY_KEYS:,} keys", many, many=True),
        }


@dataclass
class Samples:
    """By metric and way, a value for each round."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, metric: str, way: str, value: float) -> None:
        """One more."""
        self.values.setdefault(metric, {}).setdefault(way, []).append(value)

    def rows(self, order: Sequence[str]) -> list[results.Row]:
        """All metrics, ways in this order; what is added is more than without state."""
        found = {metric: {it: by[it] for it in order if it in by} for metric, by in self.values.items()}
        for metric, added in ((ALONE, ADDED), (CPU, CPU_ADDED)):
            for way in (LOCAL, WEAK, STRONG, OVER_HTTP):
                without = zip(found[metric][way], found[metric][NONE], strict=True)
                found.setdefault(added, {})[way] = [one - other for one, other in without]
        found[ADDED] |= found.pop(TRIP)
        return [
            *results.summarize(found[ALONE], ALONE, "us", NONE),
            *results.summarize(found[ADDED], ADDED, "us", TRIP),
            *results.summarize(found[CPU], CPU, "us", NONE),
            *(_median(way, CPU_ADDED, it) for way, it in found[CPU_ADDED].items()),
            *results.summarize(found[RATE], RATE, "", STRONG),
            *results.summarize(found[SHARED_CPU], SHARED_CPU, "us", STRONG),
            *(_median(way, LOADED, it) for way, it in found[LOADED].items()),
            *(_median(way, LEAST, it, "") for way, it in found[LEAST].items()),
        ]


def _median(way: str, metric: str, values: Sequence[float], unit: str = "us") -> results.Row:
    return results.Row(way, metric, results.rounded(statistics.median(values)), unit)


def module(text: str) -> bytes:
    """The element as a native module of its own."""
    element = compile_element(TextSource(Path("quota.appnet"), text), METHOD).element
    return build(print_chain(ChainSource("benchmark", "1", ((METHOD, (element,)),))), NATIVE)


def cases(plan: Plan, store: str, port: int) -> dict[str, list[Case]]:
    """The proxies of each kind; ``store``: its URL, ``port``: the gateway's."""
    options = StoreOptions(store, "benchmark", _TIMEOUT_SECONDS, merge_every=0.1)
    loader = loader_library().stem.removeprefix("lib")
    found = {}
    for name, text in ELEMENTS.items():
        code, count = module(text), plan.instances if name == STRONG else 1
        names = [f"{name}-{number}" for number in range(count)]
        chains = {it: ChainOptions("benchmark", it, "1", store=options) for it in names}
        found[name] = [
            Case(it, it, discovered=(native_filter(it, code, chain, loader, RUN_KEY),)) for it, chain in chains.items()
        ]
    lua = Lua()
    lua.default_source_code.inline_string = (_HERE / "filters" / "gateway.lua").read_text()
    found[OVER_HTTP] = [Case(OVER_HTTP, OVER_HTTP, inline=(lua,), resources=(_gateway_cluster(port),))]
    return found


def _gateway_cluster(port: int) -> Cluster:
    cluster = Cluster(name="gateway", type=Cluster.STATIC)
    cluster.connect_timeout.FromSeconds(1)
    cluster.load_assignment.cluster_name = "gateway"
    host = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    host.address, host.port_value = "127.0.0.1", port
    return cluster


def requests(way: Way, number: int) -> list[Request]:
    """Of the proxy of this number."""
    keys = [f"own-{number}" if way.own else "hot"]
    if way.many:
        keys = [f"many-{it}" for it in random.Random(number).sample(range(MANY_KEYS), MANY_KEYS)]
    return [Request(message(it), metadata=((KEY_HEADER, it),)) for it in keys]


async def _load(way: Way, proxies: Sequence[Proxy], settings: LoadSettings) -> list[LoadResult]:
    calls = [asyncio.to_thread(run_load, it.port, requests(way, number), settings) for number, it in enumerate(proxies)]
    found = await asyncio.gather(*calls)
    for it in found:
        if it.failed or set(it.by_status()) != {(0, "")}:
            raise WrongOutcomeError(f"{way.title}: calls ended with {it.by_status()}")
    return found


async def measure(name: str, way: Way, proxies: Sequence[Proxy], plan: Plan, samples: Samples) -> None:
    """One round of one way."""
    used = [it.process for it in proxies]
    before = sum(it.cpu_nanoseconds() for it in used)
    found = await _load(way, proxies, plan.full)
    cpu = sum(it.cpu_nanoseconds() for it in used) - before
    calls = [it.finished for it in found]
    if way.proxies == STRONG:
        samples.add(SHARED_CPU, name, cpu / sum(calls) / 1000)
        samples.add(RATE, name, sum(it.rate for it in found))
        samples.add(LOADED, name, max(it.latency.p99 for it in found) / 1000)
        samples.add(LEAST, name, min(calls) * len(calls) / sum(calls))
    if way.instances == 1:
        samples.add(CPU, name, cpu / sum(calls) / 1000)
        (one,) = await _load(way, proxies, plan.alone)
        samples.add(ALONE, name, one.latency.p50 / 1000)


class RoundTrips:
    """Questions to the store without any proxy, by a client of its own."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self._questions, self._socket = folder / "questions", socket
        self._program = compile_c((_HERE / "round_trip.c").read_text(), [], ["-std=c11", "-O2", "-D_GNU_SOURCE"])
        self._program.chmod(0o755)
        self._keys = state_keys("benchmark", "alone")
        self._batch = 0

    def get(self) -> float:
        """The median of asking for a key that is not there, in microseconds."""
        return self._median([_resp(b"GET", b"nothing")] * _TRIPS, b"$-1\r\n")

    def nothing(self) -> float:
        """The same of a script that does nothing."""
        with valkey.Valkey.from_url(f"unix://{self._socket}") as client:
            sha = client.script_load("#!lua\nreturn '123456789'")
        keys = [it.encode() for it in self._keys]
        return self._median(
            [_resp(b"EVALSHA", sha.encode(), b"%d" % len(keys), *keys)] * _TRIPS, b"$9\r\n123456789\r\n"
        )

    def commit(self) -> float:
        """The same of commits as the quota needs them; raises `WrongOutcomeError` where some were not taken."""
        with valkey.Valkey.from_url(f"unix://{self._socket}") as client:
            sha = client.script_load(script().decode())
            asked = ("join", "alone", "used:Map<string, int>\n", "", b"", self._batch)
            answer = client.evalsha(sha, len(self._keys), *self._keys, *asked)  # type: ignore[arg-type]
            assert isinstance(answer, bytes)
            joined = read_joined(answer)
            commits = [self._commit(sha, joined, it) for it in range(_TRIPS)]
            found = self._median(commits, b"$9\r\n123456789\r\n")
            self._batch += _TRIPS
            if client.hget(self._keys[0], "position") != b"%d" % (joined.position + _TRIPS):
                raise WrongOutcomeError("the store did not take all commits")
        return found

    def _commit(self, sha: str, joined: Joined, number: int) -> bytes:
        change, steps = encode_steps([Step([Change(ChangeKind.SET, "used", b"hot", encode(number, INT))])])
        position, batch = joined.position + number, self._batch + number + 1
        given = (b"commit", b"alone", joined.birth, b"%d" % position, change, b"%d" % batch, b"", steps)
        keys = [it.encode() for it in self._keys]
        return _resp(b"EVALSHA", sha.encode(), b"%d" % len(keys), *keys, *given)

    def _median(self, questions: Sequence[bytes], like: bytes) -> float:
        self._questions.write_bytes(b"".join(struct.pack("<I", len(it)) + it for it in questions))
        command = [self._program, self._socket, self._questions, str(len(like))]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _resp(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(it), it) for it in parts)


async def run(plan: Plan, tick: Callable[[str], None]) -> Samples:
    """All rounds of all ways; ``tick`` is told what is measured next."""
    cores, samples, ways = Cores.divide(), Samples(), plan.ways()
    async with AsyncExitStack() as stack:
        stack.enter_context(running_on(cores.load))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        at = store_folder()
        stack.enter_context(running_store(at))
        port = stack.enter_context(gateway(store_url(at)))
        upstream = stack.enter_context(Upstream())
        sink = await stack.enter_async_context(Sink())
        xds = await stack.enter_async_context(XdsServer())
        trips = RoundTrips(folder, at / "store.sock")
        rig = Rig(folder, xds, sink.address, Address("127.0.0.1", upstream.port), cores)
        proxies: dict[str, list[Proxy]] = {}
        for kind, wanted in cases(plan, store_url(at), port).items():
            for case in wanted:
                tick(f"start {case.title}")
                proxies.setdefault(kind, []).append(await rig.start_proxy(case))
                stack.push_async_callback(proxies[kind][-1].process.stop)
        shuffle = random.Random(1)
        for number in range(plan.rounds + 1):
            for name in shuffle.sample(list(ways), len(ways)):
                way = ways[name]
                tick(f"round {number}: {way.title}")
                of = samples if number else Samples()  # the first warms up
                await measure(name, way, proxies[way.proxies][: way.instances], plan, of)
            with running_on(cores.proxy):
                found = {TRIP: trips.get(), NOTHING: trips.nothing(), COMMIT: trips.commit()}
            for name, trip in found.items() if number else ():
                samples.add(TRIP, name, trip)
    return samples


def titles(plan: Plan) -> Mapping[str, str]:
    """By name."""
    return {name: way.title for name, way in plan.ways().items()} | {
        TRIP: "a round trip alone (GET)", NOTHING: "a script that does nothing, alone", COMMIT: "a commit alone",
    }  # fmt: skip


def main() -> None:
    """Measures, prints the tables, and writes the results."""
    defaults = Plan()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.state", description="What shared state costs.")
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="on each load of each way and round")
    parser.add_argument("--instances", type=int, default=defaults.instances, help="proxies that share, at most")
    results.add_record_option(parser)
    given = parser.parse_args()
    plan, console = Plan(given.rounds, given.seconds, given.instances), Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=(plan.rounds + 1) * len(plan.ways()) + plan.instances + 4)
        samples = asyncio.run(run(plan, lambda what: progress.update(task, advance=1, description=what)))
    names = titles(plan)
    rows = samples.rows(list(names))
    tables = [[ALONE, ADDED, CPU, CPU_ADDED], [RATE, SHARED_CPU, LOADED, LEAST]]
    for some in tables:
        console.print(report.table([it for it in rows if it.metric in some], names, "medians over rounds"))
    context = {
        "rounds": plan.rounds, "seconds": plan.seconds, "tables": tables, "titles": names,
        "calls at each proxy": plan.connections * plan.streams,
    }  # fmt: skip
    file = results.save("state", rows, context, record=given.record)
    report.plot(rows, names, file.with_suffix(".svg"), titles(plan)[NONE])
    console.print(f"written: {file}, {file.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
