"""Strong state on native Envoys while the store, the wire to it, and what it holds are in trouble."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import valkey
from typer.testing import CliRunner

from appnet.cli.main import app
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.trial import get
from appnet.language.types import INT, STRING, MapType
from appnet.processors.envoy.node import EnvoyNode
from appnet.state.layout import PARTS, state_keys
from appnet.state.server import running_store, store_folder, store_url
from tests.quickstart.support import settings_of, two_frontends
from tests.state.test_commit import Instance, put
from tests.support.asynchronous import asynchronous
from tests.support.store_wire import StoreWire, store_wire

pytestmark = pytest.mark.e2e

COUNT = (
    "state:\n    @consistency(strong) @persistence(true)\n    used: Map<string, int>\n\ninit():\n    pass\n\n"
    "req(rpc):\n    set(used, 'x', get(used, 'x', 0) + 1)\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
)
LOCAL = COUNT.replace("@persistence(true)", "@persistence(true) @unavailable(local)")
SCOPE = "appnet:echo/frontend/server"
PATIENCE = 90.0


@dataclass
class Calls:
    """Calls that are made all the time, in turn on all frontends; what became of them, by message."""

    urls: list[str]
    answers: Counter[str] = field(default_factory=Counter)
    last: list[str] = field(default_factory=list)
    running: bool = True

    async def make(self) -> None:
        number = 0
        while self.running:
            number += 1
            message = (await get(f"{self.urls[number % len(self.urls)]}/?key=hello")).answer.message
            self.answers[message] += 1
            self.last = [*self.last[-9:], message]
            await asyncio.sleep(0.002)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until the condition holds, while calls go on."""
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, self.answers
            await asyncio.sleep(0.01)

    async def pass_again(self) -> None:
        """Waits until the last ten calls have passed."""
        self.last = []
        await self.until(lambda: self.last == [""] * 10)

    async def are_refused(self) -> None:
        """Waits until the last five calls were refused."""
        self.last = []
        await self.until(lambda: self.last[-5:] == ["state of fault is unavailable"] * 5)

    @property
    def passed(self) -> int:
        return self.answers[""]

    @property
    def made(self) -> int:
        return self.answers.total()


@dataclass
class Scene:
    """Two frontends' proxies, which count calls in a store behind a wire."""

    calls: Calls
    client: valkey.Valkey
    wire: StoreWire
    machine: LocalMachine

    @property
    def counted(self) -> int:
        """What the store has counted."""
        found = self.client.hget(state_keys(SCOPE, "fault")[3], "used.x")
        assert isinstance(found, bytes | None)
        return int.from_bytes(found or b"", "little")


@contextlib.asynccontextmanager
async def calling(machine: LocalMachine) -> AsyncIterator[Calls]:
    """Calls that are made until the end."""
    calls = Calls([f"http://{it.program.address}" for it in machine.instances["frontend"]])
    tasks = [asyncio.create_task(calls.make()) for _ in range(2)]
    try:
        yield calls
    finally:
        calls.running = False
        await asyncio.gather(*tasks)


@contextlib.asynccontextmanager
async def scene(
    tmp_path: Path,
    prepare: Callable[[valkey.Valkey], None] | None = None,
    *,
    timeout: str = "50ms",
    tls: ssl.SSLContext | None = None,
    settings: str = "",
    **elements: str,
) -> AsyncIterator[Scene]:
    """With calls that are made until the end. ``tls`` and ``settings``: as of `StoreWire`. ``elements``: in the place of
    the sample's, by name; `fault` counts."""
    config, folder = two_frontends(tmp_path, **{"fault": COUNT, **elements}), store_folder()
    config.write_text(config.read_text().replace("\nspec:\n", f"\nspec:\n  state: {{timeout: {timeout}}}\n", 1))
    with running_store(folder), valkey.Valkey.from_url(store_url(folder)) as client:
        if prepare is not None:
            prepare(client)
        async with (
            store_wire(folder / "store.sock", tls, settings) as wire,
            LocalMachine(settings_of(config, tmp_path, "native", wire.url)) as machine,
            calling(machine) as calls,
        ):
            yield Scene(calls, client, wire, machine)


def fill(client: valkey.Valkey) -> None:
    """Gives the element as many entries as it may have."""
    one = Instance(client, "fault", "1", types={"used": MapType(STRING, INT)}, first={"used": {}}, lasting="used\n")
    one.scope = SCOPE
    one.join()
    for part in range(16):
        one.commit(*(put(b"%d" % number, number) for number in range(part * 4096, part * 4096 + 4095)))
    one.leave()


@asynchronous
async def test_a_large_state_is_joined_while_calls_come(tmp_path: Path) -> None:
    """To hand it over takes the store several times as long as calls wait, and other proxies wait meanwhile, too."""
    async with scene(tmp_path, fill, timeout="10ms") as it:
        await it.calls.pass_again()
        assert it.client.hlen(state_keys(SCOPE, "fault")[3]) > 60_000
        it.wire.cut()
        await it.calls.pass_again()
        assert it.calls.passed <= it.counted <= it.calls.made + 2


@asynchronous
async def test_what_the_store_refuses_or_forgets_is_over_when_it_is_mended(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.calls.pass_again()
        it.client.script_flush()
        await it.calls.pass_again()
        troubles: list[tuple[Callable[[], object], Callable[[], object]]] = [
            (lambda: it.client.config_set("maxmemory", 1), lambda: it.client.config_set("maxmemory", 0)),
            (lambda: it.client.replicaof("127.0.0.1", 1), lambda: it.client.replicaof("no", "one")),
        ]
        for begin, mend in troubles:
            begin()
            await it.calls.are_refused()
            mend()
            await it.calls.pass_again()
        assert it.calls.passed <= it.counted <= it.calls.made + 2
        it.client.flushall()
        await it.calls.pass_again()
        assert it.counted < it.calls.passed


@asynchronous
async def test_a_wire_that_is_slow_dead_cut_or_away_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def slow(it: Scene) -> None:
        it.wire.delay = 0.07
        await it.calls.are_refused()
        it.wire.delay = 0.0

    async def dead(it: Scene) -> None:
        it.wire.flowing.clear()
        await it.calls.are_refused()
        it.wire.flowing.set()

    async def cut(it: Scene) -> None:
        for size in range(1, 60, 3):
            it.wire.cut_after = size
            await it.calls.until(lambda: it.wire.cut_after is None)

    async def away(it: Scene) -> None:
        await it.wire.leave()
        await it.calls.are_refused()
        await it.wire.come()

    async with scene(tmp_path) as it:
        for trouble in (slow, dead, cut, away):
            await it.calls.pass_again()
            await trouble(it)
        await it.calls.pass_again()
        it.calls.running = False
        await it.calls.until(lambda: it.calls.passed <= it.counted)
        assert it.counted <= it.calls.made + 2


@pytest.mark.parametrize("part", [*PARTS, "cut value", "cut key", "format"])
@asynchronous
async def test_hostile_contents_stop_no_other_element(tmp_path: Path, part: str) -> None:
    """`logging` goes on without the store, whose keys hold what is not its state; `fault` counts exactly."""
    keys = dict(zip(PARTS, state_keys(SCOPE, "logging"), strict=True))

    def spoil(client: valkey.Valkey) -> None:
        if part in keys:
            client.delete(keys[part])
            client.set(keys[part], "something else")
        elif part == "format":
            client.hset(keys["meta"], "format", "2")
        else:
            member = "used.x" if part == "cut value" else "used."
            client.hset(keys["entries"], member, b"cut" if part == "cut value" else b"\0" * 8)
            client.zadd(keys["order"], {member: 0})

    other = LOCAL.replace("string, int", "int, int").replace("'x'", "5") if part == "cut key" else LOCAL
    async with scene(tmp_path, logging=other, timeout="2s") as it:
        await it.calls.pass_again()
        spoil(it.client)
        await it.calls.pass_again()
        before = it.calls.answers.copy()
        await it.calls.until(lambda: it.calls.passed >= before[""] + 100)
        assert it.calls.answers - before == {"": it.calls.passed - before[""]}
        assert it.calls.passed <= it.counted <= it.calls.made + 2


@asynchronous
async def test_proxies_do_nothing_while_the_store_hangs(tmp_path: Path) -> None:
    """Nor when it is time to tell that they are alive, which they would every 5 s."""
    element = COUNT.replace("int>\n", "int>\n    @consistency(weak)\n    seen: int\n")
    element = element.replace("    set(used", "    seen = seen + 1\n    set(used")

    def used(machine: LocalMachine) -> float:
        """Seconds of CPU."""
        proxies = [it for name, it in machine.nodes.items() if name.startswith("frontend")]
        assert all(isinstance(it, EnvoyNode) for it in proxies)
        fields = [
            Path(f"/proc/{it.process.pid}/stat").read_text().rpartition(")")[2].split()
            for it in proxies
            if isinstance(it, EnvoyNode)
        ]
        return sum(int(it[11]) + int(it[12]) for it in fields) / os.sysconf("SC_CLK_TCK")

    async with scene(tmp_path, fault=element) as it:
        await it.calls.pass_again()
        it.wire.flowing.clear()
        await it.calls.are_refused()
        it.calls.running = False
        before = used(it.machine)
        await asyncio.sleep(8)
        assert used(it.machine) - before < 0.8
        it.wire.flowing.set()


@asynchronous
async def test_an_operator_changes_state_while_calls_run(tmp_path: Path) -> None:
    limit = COUNT.replace(
        "    set(used", "    if get(used, 'x', 0) >= 1000000:\n        send(err('used up'), Up)\n    set(used"
    )
    async with scene(tmp_path, fault=limit) as it:
        await it.calls.pass_again()

        def ask(*words: str) -> str:
            answer = CliRunner().invoke(app, ["state", *words, "--store", it.wire.url])
            assert answer.exit_code == 0, answer.output
            return answer.stdout

        told = json.loads(await asyncio.to_thread(ask, "set", "fault.used", "x", "1000000", "-o", "json"))
        assert told == {"state": "echo/frontend/server/fault", "variable": "used", "key": "x", "value": 1_000_000}
        it.calls.last = []
        await it.calls.until(lambda: it.calls.last == ["used up"] * 10)
        await asyncio.to_thread(ask, "delete", "fault.used", "x")
        await it.calls.pass_again()
        await asyncio.to_thread(ask, "set", "fault.used", "x", "1000000")
        it.calls.last = []
        await it.calls.until(lambda: it.calls.last == ["used up"] * 10)
        await asyncio.to_thread(ask, "clear", "fault", "--yes")
        await it.calls.pass_again()
        assert 0 < int(await asyncio.to_thread(ask, "get", "fault.used", "x")) < 1_000_000
