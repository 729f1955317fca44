"""What is secret is in nothing that AppNet stores, logs, shows or hands to its children: all of it is searched."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import shutil
import sqlite3
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest
import valkey
import yaml
from typer.testing import CliRunner

from appnet.cli.main import app
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.program import free_port
from appnet.deploy.local.status import StatusServer
from appnet.state.server import running_store, store_folder
from appnet.system.address import ANY_LOCAL_PORT, Address
from tests.quickstart.support import ECHO, ask, sample, settings_of
from tests.support.go import find_go, run_go
from tests.support.load import LoadSettings, Request, Upstream, run_load
from tests.support.raw_grpc import string_field

FIELD, HEADER, PASSWORD, TOKEN = SECRETS = [f"open-sesame-{it}-7781" for it in ("field", "header", "password", "token")]
PAGES = ("metrics", "records", "records/sums", "totals", "traces", "refusals?last=guard", "rollout", "healthz")
SAMPLES = {"python": "echo-py", "go": "echo-go"}
"""The samples of programs that have their chains in them."""
OWN_PROGRAMS = (b"appnet.samples", b"/echo-go/echo")
"""What their command lines have."""
HIDDEN, PUBLIC = "(secret)", "anybody-may-see-this-7781"
TRACE = "0af7651916cd43dd8448eb211c80319c"
METADATA = (
    ("authorization", f"Bearer {HEADER}"),
    ("x-request-id", PUBLIC),
    ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),
)
GUARD = """\
# Refuses what it was told already, and does with what is secret all that an element can.
state:
    @consistency(weak)
    calls: Map<string, int>
    seen: Map<string, int>
    last: string
    noted: Vec<string>
    pairs: Vec<<string, int>>

init():
    pass

req(rpc):
    told = concat(get(rpc, 'Body'), get_metadata(rpc, 'authorization'))
    known = get(seen, told, 0)
    set(noted, size(noted), concat('told ', told))
    set(noted, size(noted), 'PUBLIC')
    set(pairs, size(pairs), (told, known))
    set(calls, 'every', get(calls, 'every', 0) + 1)
    set(seen, told, known + 1)
    set_metadata(rpc, 'x-copy', told)
    last = told
    if known > 0:
        send(err(concat('again: ', last), PERMISSION_DENIED), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
""".replace("PUBLIC", PUBLIC)


def guarded(folder: Path, kind: str, store: str) -> Path:
    """The echo sample with the guard, for proxies or for programs; its field is secret, and its store has a password.

    WebAssembly has it from the .proto that the field is secret, native proxies and programs from the configuration.
    """
    config = sample(folder)
    if kind == "wasm":
        proto = config.with_name("echo.proto")
        proto.write_text(proto.read_text().replace("string Body = 1;", "string Body = 1 [debug_redact = true];"))
    if kind in SAMPLES:
        config = folder / SAMPLES[kind] / "sample_echo_grpc.yaml"
        shutil.copytree(ECHO.parent / SAMPLES[kind], config.parent)
    if kind == "go":
        program, local = config.with_name("echo"), config.with_name("local.yaml")
        run_go([find_go(), "build", "-o", str(program), "."], ECHO.parent / SAMPLES[kind])
        local.write_text(local.read_text().replace("go run .", str(program)))
    config.with_name("guard.appnet").write_text(GUARD)
    written = yaml.safe_load(config.read_text())
    spec = {key: it for key, it in written["spec"].items() if not key.endswith("Chain")}
    spec |= {"secretFields": ["Msg.Body"]} if kind != "wasm" else {}
    spec |= {"clientChain": [{"name": "guard", "file": "guard.appnet"}], "state": {"store": store, "mergeEvery": "0.1"}}
    config.write_text(yaml.safe_dump({**written, "spec": spec}))
    return config


@contextlib.contextmanager
def store_with_password() -> Iterator[int]:
    """The port of a store that wants it."""
    folder, port = store_folder(), free_port()
    with running_store(folder):
        with valkey.Valkey(unix_socket_path=str(folder / "store.sock")) as client:
            client.config_set("requirepass", PASSWORD)
            client.execute_command("AUTH", PASSWORD)
            client.config_set("port", port)
        yield port


async def called(machine: LocalMachine, kind: str) -> None:
    """Makes calls with secrets, of which all but the first are refused, and waits until they are told of."""
    if kind in SAMPLES:
        for _ in range(3):
            await ask(machine.url("frontend"), FIELD)
    else:
        (entrance,) = machine.entrances.values()
        request = Request(string_field(1, FIELD.encode()), metadata=METADATA)
        result = await asyncio.to_thread(run_load, entrance.port, [request], LoadSettings(count=3))
        assert (7, f"again: {FIELD}Bearer {HEADER}") in result.by_status()
    async with asyncio.timeout(60):
        while machine.telemetry.refusals.elements() != ["guard"] or not machine.telemetry.records.counts():
            await asyncio.sleep(0.05)
    await machine.telemetry.kept.flush()


async def pages(status: Address) -> AsyncIterator[tuple[str, bytes]]:
    """What the status server and the dashboard show, as far as links lead, and what commands ask for."""
    start = f"http://{status}/"
    waiting, seen = deque([start, *(urljoin(start, it) for it in PAGES)]), set[str]()
    async with aiohttp.ClientSession() as client:
        while waiting:
            url = waiting.popleft()
            if url in seen or not url.startswith(start):
                continue
            seen.add(url)
            async with client.get(url) as reply:
                page = await reply.content.read(1 << 20) if "event-stream" not in reply.content_type else b""
            yield url, page
            waiting += [
                urljoin(url, unescape(it)) for it in re.findall(r'href="([^"#]+)', page.decode(errors="replace"))
            ]


def commands(status: Address, saved: Path) -> Iterator[tuple[str, bytes]]:
    """What people are told by commands."""
    for words in (
        ["why", "--last", "guard", "--save", str(saved)],
        *(
            ["why", "--last", "guard", "-o", "json"],
            ["logs", "-o", "json"],
            ["traces", "-o", "json"],
            ["top", "-o", "json"],
        ),
    ):
        ran = CliRunner().invoke(app, [*words, "--status", str(status)])
        yield f"appnetctl {words[0]}", ran.output.encode()


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What lies in the folder, and what is compressed in databases there."""
    for path in (it for it in folder.rglob("*") if it.is_file()):
        yield str(path), path.read_bytes()
        if path.suffix == ".db":
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                for (table,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                    for row in database.execute(f"SELECT * FROM {table}"):
                        yield f"{path}: {table}", b"\n".join(map(plain, row))


def plain(column: object) -> bytes:
    """A column of a database, decompressed."""
    if not isinstance(column, bytes):
        return str(column).encode()
    with contextlib.suppress(zlib.error):
        return zlib.decompress(column)
    return column


def children(of: int, but: frozenset[int]) -> Iterator[tuple[str, bytes]]:
    """Command lines and environments of processes that the process has started, and these, but not of some.

    Programs of the application are somebody's own, so they have the environment of who runs it.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) not in but:
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == of:
                    line = (entry / "cmdline").read_bytes()
                    yield f"cmdline of {entry.name}", line
                    if not any(it in line for it in OWN_PROGRAMS):
                        yield f"environ of {entry.name}", (entry / "environ").read_bytes()
                    yield from children(int(entry.name), but)


async def proxies(folder: Path) -> AsyncIterator[tuple[str, bytes]]:
    """What the Envoys below the folder show of themselves."""
    async with aiohttp.ClientSession() as client:
        for file in folder.rglob("admin-address"):
            for page in ("config_dump?include_eds", "clusters", "listeners", "runtime", "stats", "server_info"):
                async with client.get(f"http://{file.read_text()}/{page}") as reply:
                    yield f"{file.parent.name}: {page}", await reply.read()


def shown(found: bytes) -> bytes:
    """It, and what is in it as base64."""
    return b"\n".join(
        [found, *(base64.b64decode(it) for it in re.findall(rb"(?:[A-Za-z0-9+/]{4}){8,}(?:..==|...=)?", found))]
    )


async def searched(folder: Path, kind: str) -> tuple[list[tuple[str, bytes]], list[str]]:
    """All that there is to see of an application whose calls have secrets, on native or wasm proxies or in a program,
    by what it is; and the passes to the gateway. The store has gone meanwhile."""
    told: list[str] = []
    with ExitStack() as store, Upstream() as upstream:
        port = store.enter_context(store_with_password())
        others = frozenset(int(it.name) for it in Path("/proc").iterdir() if it.name.isdecimal())
        password = PASSWORD if kind == "wasm" else "$STORE_PASSWORD"
        config = guarded(folder, kind, f"redis://:{password}@127.0.0.1:{port}")
        settings = settings_of(config, folder, "wasm" if kind == "wasm" else "native")
        if kind not in SAMPLES:
            settings = replace(settings, upstreams={"server": (Address("127.0.0.1", upstream.port),)})
        async with (
            LocalMachine(settings, told.append) as machine,
            StatusServer(machine, ANY_LOCAL_PORT, told.append, TOKEN) as status,
        ):
            await called(machine, kind)
            store.close()
            found = [it async for it in pages(status.address)]
            found += await asyncio.to_thread(lambda: list(commands(status.address, folder / "run" / "saved.yaml")))
            found += [it async for it in proxies(folder)]
            found += children(os.getpid(), others)
            found += files(folder / "run")
            passes = list(machine._gateway._doors)
    return [*found, *files(folder / "run"), ("told", "\n".join(told).encode())], passes


def check_secrets(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Searches all of it, and finds nothing but what may be seen."""
    monkeypatch.setenv("STORE_PASSWORD", PASSWORD)
    found, passes = asyncio.run(searched(folder, kind))
    found.append(("log", caplog.text.encode()))
    assert passes
    seen = [(name, shown(it)) for name, it in found]
    assert not {(what, name) for name, it in seen for what in (*SECRETS, *passes) if what.encode() in it}
    records = {"appnetctl logs", "records", "telemetry.db: chunks"}
    public, hidden = (
        {name.rpartition("/")[2] for name, it in seen if word.encode() in it} for word in (PUBLIC, HIDDEN)
    )
    assert public >= records | ({"appnetctl why"} if kind not in SAMPLES else set()), "so it would have been found"
    assert hidden >= records | {"appnetctl why"}
    redacted = base64.b64encode(b"[redacted]")
    assert any(redacted in it for name, it in seen if "config_dump" in name) == (kind not in SAMPLES)
