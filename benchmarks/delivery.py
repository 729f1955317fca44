"""How long one control plane takes to bring a version to many proxies of a cluster, and what memory it needs.

    python -m benchmarks.delivery [--proxies N,N] [--rounds N] [--record]

This process is the control plane. Its proxies are simulated (`benchmarks.fleet`, two processes on the same machine):
each has a TLS connection, a token and two streams, and acknowledges what it gets without loading it. What is delivered
are the wasm modules of the echo sample.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import ipaddress
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from rich.console import Console
from rich.progress import Progress

from appnet.application.model import EdgeEnd, Side
from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import compile_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from appnet.processors.admission import LIMITS
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.cluster.server import ClusterServer
from appnet.processors.envoy.targets import WASM
from appnet.processors.processor import Acceptance, Caller, ClusterNode, Group, Serving
from appnet.processors.signing import SigningKey
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ServerTls
from benchmarks import fleet, report, results
from benchmarks.plans import SAMPLES

PROXIES = (50, 100, 250, 500, 1000)
PROJECTED = 10_000
FIRST, CHANGE, BACK = "all new at once", "new version", "restart"
MEMORY, PEAK = "memory", "memory, peak"

_TOKEN = "a-token-of-some-service-account"
_PROCESSES = 2
_PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = 1.0
_ONE_ADDRESS = replace(LIMITS, unknown_host=LIMITS.unknown)
"""All proxies are on this machine."""


@dataclass
class Measured:
    """Of so many proxies: seconds until all had a version, by what happened, seconds of this process's CPU for that,
    and MiB of its memory, in between and at most."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    memory: float = 0.0
    peak: float = 0.0

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Notes what the body takes."""
        began, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds.setdefault(what, []).append(time.perf_counter() - began)
        self.cpu.setdefault(what, []).append(time.process_time() - cpu)


class Control:
    """A control plane that gives everyone who comes the version that is wanted."""

    def __init__(self, group: Group, tls: ServerTls, versions: Sequence[Sequence[Artifact]]) -> None:
        self._group, self._tls, self._versions = group, tls, versions
        self._number = 0
        self.server: ClusterServer | None = None

    @contextlib.asynccontextmanager
    async def serving(self, bind: Address = ANY_LOCAL_PORT) -> AsyncIterator[Address]:
        serving = Serving(bind, self._tls, self._caller, self._arrived, lambda _: None, SigningKey.generate())
        self.server = ClusterServer(serving, loader="none", limits=_ONE_ADDRESS)
        async with self.server.started():
            self.server.expect([self._group])
            yield self.server.address

    def change(self) -> None:
        """Offers everyone the next version."""
        self._number += 1
        for it in self._nodes():
            self._arrived(it)

    async def accepted(self, count: int) -> None:
        """Waits until so many proxies have accepted the version."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(self._nodes()) < count:
                await asyncio.sleep(0.005)
        answers = await asyncio.gather(*(it.answer(self._version, _PATIENCE_SECONDS) for it in self._nodes()))
        wrong = [it for it in answers if it.acceptance is not Acceptance.ACKED]
        if wrong:
            raise RuntimeError(f"{len(wrong)} of {count} proxies did not accept the version: {wrong[0]}")

    @property
    def _version(self) -> str:
        return f"v{self._number}"

    def _nodes(self) -> Sequence[ClusterNode]:
        return self.server.nodes(self._group.name) if self.server is not None else ()

    def _arrived(self, node: ClusterNode) -> None:
        node.offer(self._version, self._versions[self._number % len(self._versions)])

    async def _caller(self, token: str | None, _peer: str | None) -> Caller | None:
        return Caller(fleet.NAMESPACE, fleet.ACCOUNT) if token == _TOKEN else None


async def measure(count: int, rounds: int, control: Control, ca: Path, chains: Sequence[str]) -> Measured:
    """What it takes to serve so many proxies, which wait for a control plane at first."""
    found = Measured()
    forget_peak()
    async with contextlib.AsyncExitStack() as stack, contextlib.AsyncExitStack() as serving:
        async with control.serving() as address:
            pass  # nobody else takes its port in the meantime
        await stack.enter_async_context(proxies(count, address, ca, chains))
        with found.timed(FIRST):
            await serving.enter_async_context(control.serving(address))
            await control.accepted(count)
        for _ in range(rounds):
            await asyncio.sleep(_PAUSE_SECONDS)
            with found.timed(CHANGE):
                control.change()
                await control.accepted(count)
        await asyncio.sleep(_PAUSE_SECONDS)
        found.memory = memory("VmRSS")
        for _ in range(rounds):
            await serving.aclose()
            await asyncio.sleep(_PAUSE_SECONDS)
            with found.timed(BACK):
                await serving.enter_async_context(control.serving(address))
                await control.accepted(count)
        found.peak = memory("VmHWM")
    return found


@contextlib.asynccontextmanager
async def proxies(count: int, address: Address, ca: Path, chains: Sequence[str]) -> AsyncIterator[None]:
    """So many of them, until the end of the context."""
    shares = [count // _PROCESSES + (it < count % _PROCESSES) for it in range(_PROCESSES)]
    running = []
    try:
        for number, share in enumerate(shares):
            told = [str(address), str(ca), _TOKEN, str(number * count), str(share), *chains]
            command = [sys.executable, "-m", "benchmarks.fleet", *told]
            quiet = {**os.environ, "GRPC_VERBOSITY": "NONE"}
            pipe = asyncio.subprocess.PIPE
            running.append(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=quiet))
        for it in running:
            assert it.stdout is not None
            if await it.stdout.readline() != fleet.READY:
                raise RuntimeError("the simulated proxies did not start")
        yield
    finally:
        for it in running:
            if it.stdin is not None:
                it.stdin.close()
            await it.wait()


def memory(what: str) -> float:
    """What the kernel says of this process, in MiB."""
    line = next(it for it in Path("/proc/self/status").read_text().splitlines() if it.startswith(f"{what}:"))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Has the kernel note the peak from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def versions_of(folder: Path) -> list[tuple[Artifact, ...]]:
    """Two versions that differ in every artifact."""
    found = []
    for word in ("test", "other"):
        copy = folder / word
        copy.mkdir()
        for file in (SAMPLES / "echo").iterdir():
            text = file.read_text().replace("'test'", f"'{word}'").replace("record_req", f"record_{word}")
            (copy / file.name).write_text(text.replace("fault_injected", f"fault_{word}"))
        application = load_application(FileSource(copy / "sample_echo_sidecar.yaml"))
        found.append(compile_application(application, Settings(), Where(WASM)).artifacts)
    names = [[it.name for it in some] for some in found]
    if names[0] != names[1] or any(one.version == other.version for one, other in zip(*found, strict=True)):
        raise RuntimeError("the two versions do not differ in every artifact, and in nothing else")
    return found


def group_of(chains: Sequence[str]) -> Group:
    """The group of all simulated proxies."""
    end = EdgeEnd("frontend", "server", Side.SERVER)
    return Group("echo", fleet.NAMESPACE, "sidecar", end, fleet.LABELS, frozenset({fleet.ACCOUNT}), tuple(chains), 1)


def certificate(folder: Path) -> ServerTls:
    """One for this machine, of its own authority."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "control")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ANY_LOCAL_PORT.host))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
        .add_extension(host, critical=False).sign(key, SHA256())
    )  # fmt: skip
    tls = ServerTls(folder / "control.pem", folder / "control.key")
    tls.certificate.write_bytes(made.public_bytes(Encoding.PEM))
    tls.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return tls


async def run(sizes: Sequence[int], rounds: int, tick: Callable[[str], None]) -> tuple[dict[int, Measured], int, float]:
    """What was measured of each size, the bytes of all modules of a version, and the memory without proxies."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tls, versions = certificate(folder), versions_of(folder)
        chains = tuple(it.name for it in versions[0])
        control, alone = Control(group_of(chains), tls, versions), memory("VmRSS")
        found = {}
        for it in sizes:
            tick(f"{it:,} proxies")
            found[it] = await measure(it, rounds, control, tls.certificate, chains)
        return found, sum(len(it.binary) for it in versions[0]), alone


def rows_of(samples: Mapping[int, Measured]) -> Iterator[results.Row]:
    """Each size's numbers, and those of `PROJECTED` proxies by the line through them."""
    metrics: list[tuple[str, str, Callable[[Measured], float]]] = [
        (CHANGE, "s", lambda it: statistics.median(it.seconds[CHANGE])),
        (f"{CHANGE}, longest", "s", lambda it: max(it.seconds[CHANGE])),
        (f"{CHANGE}, CPU", "s", lambda it: statistics.median(it.cpu[CHANGE])),
        (FIRST, "s", lambda it: it.seconds[FIRST][0]),
        (BACK, "s", lambda it: statistics.median(it.seconds[BACK])),
        (f"{BACK}, CPU", "s", lambda it: statistics.median(it.cpu[BACK])),
        (MEMORY, "MiB", lambda it: it.memory),
        (PEAK, "MiB", lambda it: it.peak),
    ]
    for count, it in samples.items():
        for metric, unit, value in metrics:
            yield results.Row(str(count), metric, results.rounded(value(it)), unit)
    if len(samples) > 1:
        for metric, unit, value in metrics:
            line = statistics.linear_regression(list(samples), [value(it) for it in samples.values()])
            projected = line.slope * PROJECTED + line.intercept
            yield results.Row("projected", metric, results.rounded(projected), unit)


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery", description="A version for many proxies.")
    parser.add_argument("--proxies", help="so many, such as 50,100", default=",".join(map(str, PROXIES)))
    parser.add_argument("--rounds", type=int, default=5)
    results.add_record_option(parser)
    arguments, console = parser.parse_args(), Console()
    sizes = [int(it) for it in arguments.proxies.split(",")]
    load = round(os.getloadavg()[0], 1)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        samples, size, alone = asyncio.run(
            run(sizes, arguments.rounds, lambda what: progress.update(task, description=what))
        )
    titles = {str(it): f"{it:,} proxies" for it in sizes} | {"projected": f"{PROJECTED:,} proxies, projected"}
    rows = list(rows_of(samples))
    console.print(report.table(rows, titles, "a version for the proxies of a cluster"))
    console.print(f"{size:,} bytes of modules a proxy; memory without proxies: {alone:.0f} MiB; load before: {load}")
    context = {"rounds": arguments.rounds, "bytes": size, "alone": round(alone), "load": load, "titles": titles}
    file = results.save("delivery", rows, context, record=arguments.record)
    points = {count: it.seconds[CHANGE] for count, it in samples.items()}
    report.growth(points, ("proxies", "seconds until the last one has the version"), file.with_suffix(".svg"))
    console.print(f"written: {file}, {file.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
