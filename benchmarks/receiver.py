"""The receiver of telemetry under records without a pause: its memory and disk, and how long questions wait.

    python -m benchmarks.receiver [--rate N] [--seconds N] [--record]

A process receives and keeps, as `serve` and the controller do. It gets records of 20 elements by OTLP over HTTP, 1,000
in a post, at this rate or as fast as it takes them; each second the questions of `logs` and `top`; and every ten
seconds posts that are cut off or much too large.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from rich.console import Console

from appnet.observe import OtlpReceiver
from appnet.observe.kept import Keep
from appnet.observe.otlp import AnyValue, ExportLogsServiceRequest
from appnet.observe.signals import Signal
from appnet.observe.telemetry import Telemetry
from appnet.system.address import ANY_LOCAL_PORT
from appnet.system.http import serve_http
from benchmarks import report, results

POST, ELEMENTS = 1_000, 20
DISK_BYTES = 64 << 20
QUESTIONS = ("/records?tail=100&element=element7", "/records/sums", "/totals")
CASE, TITLES = "receiver", {"receiver": "receiver"}
TABLES = (
    ("records a second", "CPU a record", "of a core", "the sender's", "lost", "not kept"),
    (
        "memory after a third",
        "at the end",
        "most on disk",
        "a question waits",
        "1 in 100",
        "the longest",
        "hostile posts refused",
    ),
)
_MARK = 0x1122334455667788
_APART_NS = 20_000
_HEADERS = {"Content-Type": "application/x-protobuf"}
_HOSTILE_EVERY, _CONNECTIONS = 10, 4


@dataclass
class Seen:
    """``megabytes`` of memory and on ``disk``, each second; ``waited``: milliseconds for each question.

    ``cpu``: seconds of the receiver; ``cpu_sender``: of what sends and asks."""

    sent: int = 0
    taken: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    cpu_sender: float = 0.0
    megabytes: list[float] = field(default_factory=list)
    disk: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    refused: int = 0
    unkept: int = 0


async def serve(folder: Path) -> None:
    """Receives and keeps, and tells where, until its input ends."""
    async with Telemetry(OtlpReceiver(), Keep(folder, bytes=DISK_BYTES), None) as telemetry:
        pages = web.Application()
        telemetry.add_pages(pages)
        runner = await serve_http(pages, ANY_LOCAL_PORT)
        port = runner.addresses[0][1]
        print(telemetry.receiver.address.port, port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


def posts() -> Iterator[bytes]:
    """Posts of records that were made just now, one after the other."""
    chance, made = random.Random(1), []
    for number in range(ELEMENTS):
        message = ExportLogsServiceRequest()
        logs = message.resource_logs.add()
        logs.resource.attributes.add(key="service.name").value.string_value = "server"
        scope = logs.scope_logs.add()
        scope.scope.name = f"element{number}.log"
        for _ in range(POST):
            line = f"GET /users/{chance.randrange(10**6)} by {chance.choice(('alice', 'bob', 'carol'))}"
            scope.log_records.add(time_unix_nano=_MARK, body=AnyValue(string_value=line))
        made.append(message.SerializeToString().split(_MARK.to_bytes(8, "little")))
    for first, *rest in itertools.cycle(made):
        now = time.time_ns()
        times = range(now - POST * _APART_NS, now, _APART_NS)
        yield first + b"".join(
            it for time_ns, part in zip(times, rest, strict=True) for it in (time_ns.to_bytes(8, "little"), part)
        )


async def load(session: aiohttp.ClientSession, url: str, rate: int, seconds: float, seen: Seen) -> None:
    """Sends records at the rate, over a few connections."""
    bodies, began = posts(), time.monotonic()

    async def connection() -> None:
        while (now := time.monotonic()) < began + seconds:
            ahead = seen.sent / rate - (now - began)
            if ahead > 0:
                await asyncio.sleep(ahead)
            seen.sent += POST
            async with session.post(url, data=next(bodies), headers=_HEADERS) as answer:
                answer.raise_for_status()

    await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
    seen.seconds = time.monotonic() - began


async def look(session: aiohttp.ClientSession, pages: str, url: str, pid: int, folder: Path, seen: Seen) -> None:
    """Asks and looks, each second, until it is cancelled."""
    hostile = (next(posts())[:-1], b"\x00" * (max(it.most_bytes for it in Signal) + 1))
    for second in itertools.count():
        for it in QUESTIONS:
            began = time.monotonic()
            async with session.get(pages + it) as answer:
                await answer.read()
                assert answer.status == web.HTTPOk.status_code
            seen.waited.append((time.monotonic() - began) * 1e3)
        for body in hostile if second % _HOSTILE_EVERY == 0 else ():
            async with session.post(url, data=body, headers=_HEADERS) as answer:
                seen.refused += answer.status in {400, 413}
        status = Path(f"/proc/{pid}/status").read_text()
        seen.megabytes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
        seen.disk.append(sum(it.stat().st_size for it in folder.glob("*")) / 2**20)
        await asyncio.sleep(1.0)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def measure(rate: int, seconds: float, folder: Path) -> Seen:
    """A run, in which all that was sent has to be taken."""
    seen = Seen()
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.receiver", "--serve", folder, stdin=pipe, stdout=pipe
    )
    assert server.stdout is not None
    try:
        receiver, port = (await server.stdout.readline()).split()
        began, began_here = cpu_seconds(server.pid), time.process_time()
        url, pages = f"http://127.0.0.1:{int(receiver)}{Signal.LOGS.path}", f"http://127.0.0.1:{int(port)}"
        async with aiohttp.ClientSession() as session:
            looking = asyncio.create_task(look(session, pages, url, server.pid, folder, seen))
            await load(session, url, rate, seconds, seen)
            while not seen.megabytes and not looking.done():
                await asyncio.sleep(0.1)
            looking.cancel()
            await asyncio.wait({looking})
            if not looking.cancelled() and (error := looking.exception()) is not None:
                raise error
            async with session.get(f"{pages}/records/sums") as answer:
                seen.cpu, seen.cpu_sender = cpu_seconds(server.pid) - began, time.process_time() - began_here
                told = await answer.json()
                seen.taken = sum(it["count"] for it in told["streams"])
                seen.unkept = sum(int(it.split()[0]) for it in told["lost"])  # "12 records were not kept"
    finally:
        server.terminate()
        await server.wait()
    return seen


def rows(seen: Seen) -> list[results.Row]:
    """What it comes to. Memory at the start is that after a third of the run, when buffers have their size."""
    third = len(seen.megabytes) // 3
    slow = statistics.quantiles(seen.waited, n=100, method="inclusive")[98]
    found = [
        (seen.taken / seen.seconds, ""),
        (seen.cpu / seen.taken * 1e6, "us"),
        (seen.cpu / seen.seconds * 100, "%"),
        (seen.cpu_sender / seen.seconds * 100, "%"),
        (float(seen.sent - seen.taken), ""),
        (float(seen.unkept), ""),
        (statistics.median(seen.megabytes[third : third + 5]), "MiB"),
        (statistics.median(seen.megabytes[-5:]), "MiB"),
        (max(seen.disk), "MiB"),
        (statistics.median(seen.waited), "ms"),
        (slow, "ms"),
        (max(seen.waited), "ms"),
        (float(seen.refused), ""),
    ]
    metrics = [it for table in TABLES for it in table]
    return [
        results.Row(CASE, metric, results.rounded(value), unit)
        for metric, (value, unit) in zip(metrics, found, strict=True)
    ]


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=50_000, help="records a second")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    results.add_record_option(parser)
    given, console = parser.parse_args(), Console()
    if given.serve is not None:
        asyncio.run(serve(given.serve))
        return
    with tempfile.TemporaryDirectory(prefix="receiver-") as folder, console.status("records come"):
        seen = asyncio.run(measure(given.rate, given.seconds, Path(folder)))
    found = rows(seen)
    for some in TABLES:
        title = f"{given.rate:,} records a second are sent for {given.seconds:.0f} s"
        console.print(report.table([it for it in found if it.metric in some], TITLES, title))
    context = {"rounds": 1, "seconds": given.seconds, "rate": given.rate, "titles": TITLES, "tables": TABLES}
    console.print(f"written: {results.save('receiver', found, context, record=given.record)}")


if __name__ == "__main__":
    main()
