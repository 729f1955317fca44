"""Versions of a chain on one real Envoy: what elements have counted stays counted, whatever is saved beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.processors.envoy.build import build
from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.processor import Acceptance
from appnet.system.address import Address
from tests.support.asynchronous import asynchronous, eventually
from tests.support.proxies import LISTENER, PATH, Bench, bench, options, signed_filter
from tests.support.raw_grpc import string_field
from tests.support.signatures import ECHO

FILTER = "appnet.frontend_server.echo.client"
QUOTA = """\
state:
    used: Map<string, int>
    inside: int
    limit: int

init():
    limit = {limit}

open(rpc):
    inside = inside + 1
    set_metadata(rpc, 'x-inside', to_string(inside))
    send(rpc, Down)

req(rpc):
    user = get(rpc, 'body')
    mine = get(used, user, 0)
    if mine >= limit:
        send(err('used up', RESOURCE_EXHAUSTED), Up)
    set(used, user, mine + 1)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)

end(rpc):
    inside = inside - 1
"""
NEIGHBOUR = """\
state:
    pass

init():
    pass

req(rpc):
    set_metadata(rpc, 'x-version', '{version}')
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def element(name: str, text: str) -> Element:
    return compile_element(TextSource(Path(f"{name}.appnet"), text), ECHO).element


def version(target: str, number: int, limit: int) -> TypedExtensionConfig:
    """The quota beside a neighbour that is another one in each version."""
    elements = (element("quota", QUOTA.format(limit=limit)), element("neighbour", NEIGHBOUR.format(version=number)))
    if number % 2:
        elements = elements[::-1]
    module = build(print_chain(ChainSource("client", str(number), ((ECHO, elements),))), target)
    if target == NATIVE:
        return signed_filter(FILTER, module, options(str(number)))
    return wasm_filter(FILTER, module, options(str(number)))


class Upgraded:
    """A proxy whose version is replaced while it runs."""

    def __init__(self, b: Bench, target: str, limit: int, upstream: Address, channel: grpc.aio.Channel) -> None:
        self._b, self._target, self._limit, self._upstream = b, target, limit, upstream
        self.call = channel.unary_unary(PATH)
        self.number = 0

    async def save(self) -> None:
        """The next version begins."""
        self.number += 1
        await give(self._b, self._upstream, version(self._target, self.number, self._limit), str(self.number))

    async def ask(self, user: str) -> str:
        """What became of a call of this user: the answer or the refusal."""
        try:
            return (await self.call(string_field(1, user.encode()), timeout=20)).decode()
        except grpc.aio.AioRpcError as error:
            return error.details() or ""


async def give(b: Bench, upstream: Address, filter_: TypedExtensionConfig, name: str) -> None:
    sidecar = Sidecar(LISTENER, [FILTER], [upstream])
    b.xds.set_snapshot(b.node, Snapshot(name, (*sidecar_resources(sidecar), filter_)))
    assert (await b.xds.wait(name, [b.node], 20))[b.node].acceptance is Acceptance.ACKED


class Server:
    """Says which version a call passed and how many were inside; holds calls of the user `slow`."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.holds = 0

    async def answer(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """The one method."""
        metadata = dict(context.invocation_metadata() or ())
        if b"slow" in request:
            self.holds += 1
            await self.release.wait()
        return f"{metadata['x-version']}, {metadata['x-inside']} inside".encode()


@contextlib.asynccontextmanager
async def upgraded(folder: Path, target: str, limit: int) -> AsyncIterator[tuple[Upgraded, Server]]:
    server, behind = grpc.aio.server(options=[("grpc.so_reuseport", 0)]), Server()
    handler = grpc.unary_unary_rpc_method_handler(behind.answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.EchoService", {"echo": handler}),))
    upstream = Address("127.0.0.1", server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    async with bench(folder, [FILTER]) as b:
        await give(b, upstream, version(target, 0, limit), "0")
        await b.envoy.ready()
        async with grpc.aio.insecure_channel(str(await b.envoy.listener_address(LISTENER))) as channel:
            yield Upgraded(b, target, limit, upstream, channel), behind
        behind.release.set()
    await server.stop(None)


@asynchronous
async def test_a_used_up_quota_stays_used_up_when_a_neighbour_is_saved(tmp_path: Path, target: str) -> None:
    async with upgraded(tmp_path, target, limit=2) as (proxy, _):
        assert [await proxy.ask("ann") for _ in range(3)] == ["0, 1 inside"] * 2 + ["used up"]
        for number in (1, 2, 3):
            await proxy.save()
            assert await proxy.ask("ann") == "used up"
            assert await proxy.ask(f"bob {number}") == f"{number}, 1 inside"


@asynchronous
async def test_calls_of_the_version_before_are_still_counted(tmp_path: Path, target: str) -> None:
    async with upgraded(tmp_path, target, limit=100) as (proxy, server):
        slow = [asyncio.create_task(proxy.ask("slow")) for _ in range(3)]
        await eventually(lambda: server.holds == 3)
        await proxy.save()
        assert await proxy.ask("ann") == "1, 4 inside"
        await proxy.save()
        server.release.set()
        assert sorted([await it for it in slow]) == ["0, 1 inside", "0, 2 inside", "0, 3 inside"]
        assert await proxy.ask("ann") == "2, 1 inside"
        await proxy.save()
        assert await proxy.ask("ann") == "3, 1 inside"


@asynchronous
async def test_a_quota_under_load_is_exact_through_many_upgrades(tmp_path: Path, target: str) -> None:
    limit, callers, saves = 3000, 8, 6
    async with upgraded(tmp_path, target, limit=limit) as (proxy, _):
        answers: list[str] = []
        share = limit // (saves + 2)
        saved = 0

        async def caller() -> None:
            while "used up" not in answers:
                if saved < saves and len(answers) > share * (saved + 2):
                    await asyncio.sleep(0.001)  # a slow save is still to be in force before all is used up
                else:
                    answers.append(await proxy.ask("ann"))

        calling = [asyncio.create_task(caller()) for _ in range(callers)]
        while saved < saves:
            await eventually(lambda: len(answers) > share * (saved + 1))  # noqa: B023
            await proxy.save()
            saved += 1
        await asyncio.gather(*calling)
        passed = [it for it in answers if it != "used up"]
        assert len(passed) == limit
        assert {it for it in answers if "inside" not in it} == {"used up"}  # no call was lost
        assert len({it.split(",")[0] for it in passed}) == 1 + saves  # every version drew on it
