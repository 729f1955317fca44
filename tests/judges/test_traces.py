"""A call's trace is whole in a real OpenTelemetry collector: client, both sidecars, server, whatever becomes of the call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine
from appnet.observe.forward import Collector
from appnet.processors.envoy.targets import TARGETS
from appnet.system.address import Address
from tests.judges.sidecars import reserved_port
from tests.quickstart.support import sample, settings_of
from tests.support.asynchronous import asynchronous, eventually
from tests.support.go import NoToolsError, find_go, run_go

pytestmark = [pytest.mark.judges, pytest.mark.timeout(600)]

SOURCES = Path(__file__).parent / "traces"
SECONDS = 60.0
REPLIES = """state:
    pass

init():
    pass

req(rpc):
    match get(rpc, 'Body') == 'known':
        true =>
            r = reply()
            set(r, 'Body', 'answer')
            send(r, Up)
        false => send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
CLIENT, SERVER = ("client", "Client"), ("server", "Server")
AT_CLIENT, AT_SERVER = ("frontend", "Client"), ("server", "Server")
"""Service and kind of a span; the sidecars' services are those of the application file."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    try:
        run_go([find_go(), "build", "-o", f"{folder}/", "./..."], SOURCES, GOFLAGS="-buildvcs=false")
    except NoToolsError as error:
        pytest.exit(str(error), returncode=1)
    return folder


@dataclass(frozen=True)
class Collected:
    """A span as the collector wrote it."""

    trace: str
    parent: str
    id: str
    name: str
    kind: str
    service: str
    chain: str

    @staticmethod
    def all(text: str) -> list[Collected]:
        """Those of what its debug exporter has written so far."""
        found = []
        for resource in text.split("ResourceSpans #")[1:]:
            service = re.findall(r"-> service\.name: Str\((.*)\)", resource)[:1]
            for span in resource.split("\nSpan #")[1:]:
                fields = dict(re.findall(r"^    (Trace ID|Parent ID|ID|Name|Kind) +: ?(.*)$", span, re.MULTILINE))
                chain = re.findall(r"-> appnet\.chain: Str\((.*)\)", span)
                if "Kind" in fields and service:
                    names = [fields[it] for it in ("Trace ID", "Parent ID", "ID", "Name", "Kind")]
                    found.append(Collected(*names, service=service[0], chain=chain[0] if chain else ""))
        return found


@contextlib.contextmanager
def started(folder: Path, *command: object, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    with (folder / "stderr").open("a") as errors:
        process = subprocess.Popen([*map(str, command)], stdin=stdin, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=30)


@contextlib.contextmanager
def collector(programs: Path, folder: Path) -> Iterator[tuple[Address, Path]]:
    """A collector that is there: where it takes OTLP over gRPC, and what it writes."""
    written = folder / "collected"
    with reserved_port() as port:
        pipeline = {"receivers": ["otlp"], "exporters": ["debug"]}
        config = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {
                "debug": {"verbosity": "detailed", "use_internal_logger": False, "output_paths": [str(written)]}
            },
            "service": {"pipelines": dict.fromkeys(("traces", "metrics", "logs"), pipeline)},
        }
        (folder / "collector.yaml").write_text(json.dumps(config))
        with started(folder, programs / "collector", "--config", folder / "collector.yaml"):
            yield Address("127.0.0.1", port), written


def collected(written: Path, trace: str) -> list[Collected]:
    return [it for it in Collected.all(written.read_text()) if it.trace == trace] if written.exists() else []


def paths(spans: list[Collected]) -> list[list[tuple[str, str]]]:
    """Service and kind of the spans from the root to each leaf; every parent is there, and no span is twice."""
    by_id = {it.id: it for it in spans}
    assert len(by_id) == len(spans)
    inner = {it.parent for it in spans}
    found = []
    for leaf in (it for it in spans if it.id not in inner):
        path = [leaf]
        while path[0].parent:
            path.insert(0, by_id[path[0].parent])
        found.append([(it.service, it.kind) for it in path])
    return sorted(found)


@pytest.mark.parametrize("target", TARGETS)
@asynchronous
async def test_a_trace_is_whole(target: str, programs: Path, tmp_path: Path) -> None:
    config = sample(tmp_path)
    fault = config.with_name("fault.appnet")
    fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 2.0"))
    config.with_name("replies.appnet").write_text(REPLIES)
    chain = "  serverChain:                 # ... then these, on the server's side\n"
    assert chain in config.read_text()
    config.write_text(config.read_text().replace(chain, f"{chain}    - name: replies\n      file: replies.appnet\n"))
    application = programs / "application"
    with (
        collector(programs, tmp_path) as (address, written),
        started(tmp_path, application, "-collector", address, "server", stdin=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        port = int(await asyncio.to_thread(server.stdout.readline))
        run = replace(
            settings_of(config, tmp_path, target),
            upstreams={"server": (Address("127.0.0.1", port),)},
            forward=Collector.parse(f"grpc://{address}"),
        )
        async with LocalMachine(run) as machine:
            entrance = machine.entrances["frontend", "server"]
            bodies = ("hello", "test", "known", "flaky")
            with started(tmp_path, application, "-collector", address, "client", entrance, *bodies) as client:
                assert client.stdout is not None
                said = await asyncio.to_thread(client.stdout.read)
            traces = dict(zip(bodies, (line.split() for line in said.splitlines()), strict=True))
            assert [status for _, status in traces.values()] == ["OK", "Aborted", "OK", "OK"], said

            whole = [("client", "Internal"), CLIENT, AT_CLIENT, AT_SERVER]
            wanted = {
                "hello": [[*whole, SERVER]],
                "test": [whole],
                "known": [whole],
                "flaky": [[*whole, SERVER], [*whole, SERVER]],
            }
            for body, (trace, _) in traces.items():
                trees = wanted[body]
                count = 1 + sum(len(it) - 1 for it in trees)  # they share the root
                chains = sorted(["client", "server"] * len(trees))

                def there(trace: str = trace, count: int = count, chains: list[str] = chains) -> bool:
                    spans = collected(written, trace)
                    return len(spans) >= count and sum(bool(it.chain) for it in spans) >= len(chains)

                await eventually(there, SECONDS)
                spans = collected(written, trace)
                assert paths(spans) == trees, body
                assert sorted(it.chain for it in spans if it.chain) == chains
