"""Millions of keys in one shared state: what the store needs for them, and that proxies stay as small as without.

    python -m benchmarks.keys [--keys N] [--record]

The store is filled with keys of a strong Map, as a proxy would set them: to a tenth of all, then to all, which is the
Map's capacity. At each size an Envoy begins, and gets calls for keys that it has not met, for the same again, and for
many more. Then new keys have to push out old ones, and with the last instance all of it has to go.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import valkey
from rich.console import Console

from appnet.language.types import INT
from appnet.measure.cores import Cores, running_on
from appnet.measure.load import LoadResult, LoadSettings, Request, Upstream, run_load
from appnet.measure.sink import Sink
from appnet.processors.envoy.filters import native_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.state.layout import (
    PARTS,
    Change,
    ChangeKind,
    Joined,
    Step,
    encode,
    encode_steps,
    read_committed,
    read_joined,
    script,
    script_digest,
    state_keys,
)
from appnet.state.server import running_store, store_folder, store_url
from appnet.system.address import Address
from benchmarks import report, results
from benchmarks.cases import Case
from benchmarks.dataplane import WrongOutcomeError, message
from benchmarks.memory import resident_bytes
from benchmarks.proxies import Proxy, Rig
from benchmarks.signing import RUN_KEY
from benchmarks.state import QUOTA, module

STORE, EACH, BEGINS = "store", "store, for each key", "first call after"
FIRST, AGAIN, SMALL, LARGE = "p50, key not met", "p50, key met", "Envoy, begun", "Envoy, in the end"
_NAME = "keys"
_BATCH = 1000  # keys that are set at once
_MET = 30_000  # keys that an Envoy keeps
_MORE = 150_000  # that it does not
_CHECKED = 500
_PATIENCE_SECONDS = 60.0


def key(number: int) -> str:
    """The key of this number."""
    return f"key-{number:08d}"


class Filler:
    """An instance that sets keys, and asks the store what there is."""

    def __init__(self, client: valkey.Valkey, capacity: int) -> None:
        self.client: Any = client  # the library has few types
        self.keys = dict(zip(PARTS, state_keys(_NAME, "quota"), strict=True))
        self.capacity, self._batch = capacity, 0
        client.script_load(script().decode())
        self._join()

    def _ask(self, *arguments: bytes | str | int) -> bytes:
        answer: bytes = self.client.evalsha(script_digest(), len(self.keys), *self.keys.values(), *arguments)
        return answer

    def _join(self) -> Joined:
        kinds, bound = "used:Map<string, int>\n", f"{self.capacity} used"
        return read_joined(self._ask("join", "filler", kinds, "", b"", self._batch, bound))

    def fill(self, first: int, end: int) -> None:
        """Sets these keys to 1."""
        one = encode(1, INT)
        joined = self._join()
        position = joined.position
        for start in range(first, end, _BATCH):
            numbers = range(start, min(start + _BATCH, end))
            changes, steps = encode_steps(
                [Step([Change(ChangeKind.SET, "used", key(it).encode(), one) for it in numbers])]
            )
            self._batch += 1
            answer = read_committed(
                self._ask("commit", "filler", joined.birth, position, changes, self._batch, "1", steps)
            )
            if answer is None or answer.others is not None:
                raise WrongOutcomeError("another instance has set keys")
            position = answer.position

    def beat(self) -> None:
        """The state does not end while there is no proxy."""
        if self._ask("beat", "filler") != b"\0":
            raise WrongOutcomeError("the state has ended")

    def leave(self) -> float:
        """Ends; the seconds that the store takes for it."""
        begin = time.monotonic()
        self._ask("leave", "filler")
        return time.monotonic() - begin

    def count(self) -> int:
        """How many keys there are."""
        return int(self.client.hlen(self.keys["entries"]))

    def value(self, number: int) -> int | None:
        """What the store has at a key."""
        found = self.client.hget(self.keys["entries"], f"used.{key(number)}")
        return None if found is None else int.from_bytes(found, "little")

    def size(self) -> int:
        """Bytes of all keys and their order."""
        return sum(int(self.client.memory_usage(self.keys[it], samples=1000) or 0) for it in ("entries", "order"))


async def _load(proxy: Proxy, numbers: Sequence[int]) -> LoadResult:
    """A call for each of these keys."""
    requests = [Request(message(key(it))) for it in numbers]
    settings = LoadSettings(2, 4, count=len(requests), seconds=_PATIENCE_SECONDS * 5)
    found = await asyncio.to_thread(run_load, proxy.port, requests, settings)
    if found.finished != len(requests) or set(found.by_status()) != {(0, "")}:
        raise WrongOutcomeError(f"{found.finished} calls ended with {found.by_status()}")
    return found


async def _begun(proxy: Proxy) -> float:
    """Seconds until a call passes."""
    begin, one = time.monotonic(), [Request(message(key(0)))]
    while time.monotonic() < begin + _PATIENCE_SECONDS:
        found = await asyncio.to_thread(run_load, proxy.port, one, LoadSettings(1, 1, count=1))
        if set(found.by_status()) == {(0, "")}:
            return time.monotonic() - begin
    raise WrongOutcomeError("no call passes")


@asynccontextmanager
async def _proxy(rig: Rig, code: bytes, store: str, name: str) -> AsyncIterator[Proxy]:
    loader = loader_library().stem.removeprefix("lib")
    options = ChainOptions(_NAME, name, "1", store=StoreOptions(store, _NAME, _PATIENCE_SECONDS, merge_every=0.1))
    proxy = await rig.start_proxy(Case(name, name, discovered=(native_filter(name, code, options, loader, RUN_KEY),)))
    try:
        yield proxy
    finally:
        await proxy.process.stop()


async def measure(name: str, proxy: Proxy, filler: Filler, draw: random.Random) -> list[results.Row]:
    """One Envoy with the keys that the store has now."""
    count = filler.count()
    begun, small = await _begun(proxy), resident_bytes(proxy.process.pid)
    numbers = draw.sample(range(1, max(count, _MET + _MORE + 1)), _MET + _MORE)
    before = {it: filler.value(it) or 0 for it in numbers[:_CHECKED]}
    first = await _load(proxy, numbers[:_MET])
    again = await _load(proxy, numbers[:_MET])
    await _load(proxy, numbers[_MET:])
    await _load(proxy, numbers[:_MET])
    wrong = [it for it, value in before.items() if filler.value(it) != value + 3]
    filler.beat()
    if wrong:
        raise WrongOutcomeError(f"{len(wrong)} of {_CHECKED} keys are not counted as they were called")
    rows = [
        (BEGINS, begun * 1000, "ms"),
        (FIRST, first.latency.p50 / 1000, "us"),
        (AGAIN, again.latency.p50 / 1000, "us"),
        (SMALL, small / 2**20, "MiB"),
        (LARGE, resident_bytes(proxy.process.pid) / 2**20, "MiB"),
    ]
    if count >= _BATCH:
        rows = [(STORE, filler.size() / 2**20, "MiB"), (EACH, filler.size() / filler.count(), "bytes"), *rows]
    return [results.Row(name, metric, results.rounded(value), unit) for metric, value, unit in rows]


async def check_capacity(proxy: Proxy, filler: Filler) -> None:
    """New keys push out the oldest."""
    await _load(proxy, range(10**8 - 1000, 10**8))
    if filler.count() != filler.capacity or filler.value(10**8 - 1) != 1:
        raise WrongOutcomeError(f"the Map of {filler.capacity} has {filler.count()} keys")


async def run(keys: int, say: Callable[[str], None]) -> tuple[list[results.Row], dict[str, str]]:
    """All of it: the rows, and the titles of their cases."""
    cores, at, draw = Cores.divide(), store_folder(), random.Random(1)
    code = module(QUOTA.format(how=f"@consistency(strong) @capacity({keys})\n    "))
    rows, titles, filled = [], {}, 0
    async with AsyncExitStack() as stack:
        stack.enter_context(running_on(cores.load))
        stack.enter_context(running_store(at))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = Address("127.0.0.1", stack.enter_context(Upstream()).port)
        sink = await stack.enter_async_context(Sink())
        xds = await stack.enter_async_context(XdsServer())
        rig = Rig(folder, xds, sink.address, upstream, cores)
        filler = Filler(stack.enter_context(valkey.Valkey.from_url(store_url(at))), keys)
        for size in (0, keys // 10, keys):
            name = f"keys{size}"
            titles[name] = f"{size:,} keys" if size else "an empty Map"
            say(f"{size:,} keys")
            filler.fill(filled, size)
            filled = size
            filler.beat()
            async with _proxy(rig, code, store_url(at), name) as proxy:
                rows += await measure(name, proxy, filler, draw)
                if size == keys:
                    await check_capacity(proxy, filler)
        ended = filler.leave()
        say(f"all keys gone in {ended * 1000:.0f} ms")
        if filler.client.dbsize():
            raise WrongOutcomeError("state is left, though its last instance has gone")
    return rows, titles


def main() -> None:
    """Measures, prints the table, and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keys", description="Millions of keys in the store.")
    parser.add_argument("--keys", type=int, default=10_000_000)
    results.add_record_option(parser)
    given, console = parser.parse_args(), Console()
    if given.keys < 10 * (_MET + _MORE):
        parser.error(f"--keys: at least {10 * (_MET + _MORE)}")
    rows, titles = asyncio.run(run(given.keys, console.print))
    tables = [[STORE, EACH, BEGINS], [FIRST, AGAIN, SMALL, LARGE]]
    console.print(report.table(rows, titles, "one round"))
    context = {"keys": given.keys, "rounds": 1, "tables": tables, "titles": titles}
    console.print(f"written: {results.save('keys', rows, context, record=given.record)}")


if __name__ == "__main__":
    main()
