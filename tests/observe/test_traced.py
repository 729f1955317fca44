"""Calls through two real sidecars are in the traces of their callers, and what nobody traces stays as it is."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from appnet.application.model import Limits
from appnet.compile.fit import Where
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.status import StatusServer
from appnet.observe.forward import Collector
from appnet.observe.otlp import ExportTraceServiceRequest
from appnet.observe.points import CALLS, SIDE, SPANS_DROPPED
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.spans import Span
from appnet.observe.store import StreamKey
from appnet.processors.envoy.targets import NATIVE, TARGETS
from appnet.system.address import ANY_LOCAL_PORT, Address
from tests.quickstart.support import APPNETCTL, sample, settings_of
from tests.support.asynchronous import asynchronous, eventually
from tests.support.raw_grpc import RawClient, RecordingServer, Reply, frame, string_field

pytestmark = pytest.mark.e2e
all_targets = pytest.mark.parametrize("target", TARGETS)

PATH = "/echo.EchoService/echo"
PARENT = "00f067aa0ba902b7"
SECONDS = 30.0


def trace_id(number: int) -> str:
    return f"4bf92f3577b34da6a3ce929d0e0e{number:04x}"


def parent(number: int, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace_id(number)}-{PARENT}-{flags}"}


class Traced:
    """The echo application between a client and a server of this test, with the spans that have come."""

    def __init__(self, machine: LocalMachine, server: RecordingServer) -> None:
        self.machine, self._server = machine, server
        self.spans: list[Span] = []
        machine.telemetry.receiver.trace(self.spans.append)

    async def call(self, headers: dict[str, str], body: bytes = b"hello") -> tuple[Reply, dict[str, str] | None]:
        """How a call ended, and the headers with which it came to the server; None where it did not."""
        port, before = self.machine.entrances["frontend", "server"].port, len(self._server.seen)

        def exchange() -> Reply:
            with RawClient(port) as client:
                return client.call(PATH, frame(string_field(1, body)), [*headers.items()])

        reply = await asyncio.to_thread(exchange)
        came = self._server.seen[before:]
        return reply, dict(came[0].headers) if came else None

    def of(self, number: int) -> list[Span]:
        """The spans of a trace, the client's sidecar first."""
        found = [it for it in self.spans if it.trace_id == trace_id(number)]
        return sorted(found, key=lambda it: str(it.resource[SIDE]))

    async def all_told(self) -> None:
        """Waits for a call that is traced: what was made before has come by then."""
        number = 0xFFFF - len(self.spans)
        await self.call(parent(number))
        await eventually(lambda: len(self.of(number)) == 2, SECONDS)


@asynccontextmanager
async def traced(
    folder: Path,
    limits: Limits = Limits(),  # noqa: B008
    target: str = NATIVE,
    **settings: Any,
) -> AsyncIterator[Traced]:
    config = sample(folder)
    fault = config.with_name("fault.appnet")
    fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 2.0"))
    with RecordingServer() as server:
        upstreams = {"server": (Address("127.0.0.1", server.port),)}
        where = Where(target, limits=limits)
        run = replace(settings_of(config, folder), upstreams=upstreams, where=where, **settings)
        async with LocalMachine(run) as machine:
            yield Traced(machine, server)


def rows(span: Span) -> list[tuple[Any, ...]]:
    return [tuple(it.attributes.get(f"appnet.{of}") for of in ("element", "row", "verdict")) for it in span.events]


async def shown(status: Address, *arguments: str) -> str:
    command = [*APPNETCTL, *arguments, "--status", str(status)]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return str(ran.stdout)


@all_targets
@asynchronous
async def test_both_sidecars_are_in_the_trace_of_the_caller(tmp_path: Path, target: str) -> None:
    collected: list[Span] = []
    async with OtlpReceiver() as collector:
        collector.trace(collected.append)
        forward = Collector.parse(f"http://{collector.address}")
        async with traced(tmp_path, target=target, forward=forward) as application:
            reply, came = await application.call({**parent(1), "tracestate": "a=b"})
            assert reply.grpc_status == 0
            await eventually(lambda: len(application.of(1)) == 2, SECONDS)
            client, server = application.of(1)
            assert (client.parent_id, server.parent_id) == (PARENT, client.span_id)
            assert came is not None
            assert came["traceparent"] == f"00-{trace_id(1)}-{server.span_id}-01", "which the server's spans join"
            assert came["tracestate"] == "a=b"
            assert client.start_ns <= server.start_ns <= server.end_ns <= client.end_ns
            assert (client.kind, server.kind) == (3, 2)
            assert ("fault", "1a", "forward") in rows(client)
            assert rows(server) == [("firewall", "1b", "forward")]

            reply, came = await application.call(parent(2), b"test")
            assert (reply.grpc_status, came) == (10, None)
            await eventually(lambda: len(application.of(2)) == 2, SECONDS)
            client, server = application.of(2)
            assert (client.parent_id, server.parent_id) == (PARENT, client.span_id)
            assert rows(server) == [("firewall", "1a", None), ("firewall", "1a.1b", "refuse")]
            assert client.attributes["rpc.response.status_code"] == "ABORTED"
            assert (client.failed, server.failed) == (True, False), "as OpenTelemetry has it for either side"
            why = application.machine.telemetry.refusals
            await eventually(lambda: bool(why.of_call(trace_id(2))), SECONDS)

            async with StatusServer(application.machine, ANY_LOCAL_PORT, print) as status:
                text = await shown(status.address, "traces", trace_id(2))
                assert "2 spans in" in text
                assert "    +" in text, "the server's span is below the client's"
                assert "firewall req row 1a.1b refuse ABORTED" in text
                found = [json.loads(it) for it in (await shown(status.address, "traces", "-o", "json")).splitlines()]
                assert [it["trace_id"] for it in found] == [trace_id(1), trace_id(2)]
                assert "It refused in row 1a.1b" in await shown(status.address, "why", trace_id(2))
            assert "test" not in repr(application.spans)
        assert {(it.trace_id, it.span_id) for it in collected} == {
            (it.trace_id, it.span_id) for it in application.spans
        }


HOSTILE = [
    {"traceparent": ""},
    {"traceparent": parent(3)["traceparent"][:-1]},
    {"traceparent": parent(3)["traceparent"].upper()},
    {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
    {"traceparent": f"00-{trace_id(3)}-{'0' * 16}-01"},
    {"traceparent": f"00-{trace_id(3)}-{PARENT}-01-{'f' * 20_000}"},
    {"traceparent": "%s%n" * 100},
    {"b3": "1-1-1-1-1"},
    {"b3": "d" * 20_000},
    {"x-b3-traceid": trace_id(3), "x-b3-spanid": "", "x-b3-sampled": "1"},
]


@all_targets
@asynchronous
async def test_what_nobody_traces_stays_as_it_is(tmp_path: Path, target: str) -> None:
    async with traced(tmp_path, target=target) as application:
        for headers in ({}, parent(3, "00"), {"b3": "0"}, *HOSTILE):
            reply, came = await application.call(headers)
            assert reply.grpc_status == 0
            assert came is not None
            assert {key: it for key, it in came.items() if "b3" in key or "trace" in key} == headers
            reply, _ = await application.call(headers, b"test")
            assert reply.grpc_status == 10
        await application.all_told()
        assert len(application.spans) == 2, "those of the last call"


@all_targets
@asynchronous
async def test_b3_goes_on_as_b3(tmp_path: Path, target: str) -> None:
    async with traced(tmp_path, target=target) as application:
        _, came = await application.call({"b3": f"{trace_id(4)}-{PARENT}-1"})
        await eventually(lambda: len(application.of(4)) == 2, SECONDS)
        client, server = application.of(4)
        assert (client.parent_id, server.parent_id) == (PARENT, client.span_id)
        assert came is not None
        assert came["b3"] == f"{trace_id(4)}-{server.span_id}-1"
        assert "traceparent" not in came


@all_targets
@asynchronous
async def test_a_share_of_calls_without_a_context_is_traced_from_end_to_end(tmp_path: Path, target: str) -> None:
    async with traced(tmp_path, Limits(traces=1.0), target) as application:
        _, came = await application.call({})
        await eventually(lambda: len(application.spans) == 2, SECONDS)
        client, server = sorted(application.spans, key=lambda it: str(it.resource[SIDE]))
        assert (client.parent_id, server.parent_id) == ("", client.span_id)
        assert came is not None
        assert came["traceparent"] == f"00-{server.trace_id}-{server.span_id}-01"
        assert client.trace_id == server.trace_id


def dropped(application: Traced) -> int:
    found = application.machine.telemetry.totals.by([SPANS_DROPPED], [SIDE])
    return sum(it for it in found.values() if isinstance(it, int))


async def calls(application: Traced, count: int) -> None:
    for number in range(count):
        reply, came = await application.call(parent(number))
        assert reply.grpc_status == 0
        assert came is not None
        assert trace_id(number) in came["traceparent"]


@all_targets
@asynchronous
async def test_what_is_told_while_the_collector_is_away_comes_when_it_is_back(tmp_path: Path, target: str) -> None:
    """Also what a version tells that ends meanwhile."""
    async with traced(tmp_path, target=target) as application:
        receiver = application.machine.telemetry.receiver
        address = receiver.address
        await receiver.stop()
        with socket.socket() as nobody:  # who listens there; no other process takes the port
            nobody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            nobody.bind((address.host, address.port))
            await calls(application, 20)
            await asyncio.sleep(1)  # posts fail meanwhile
            fault = tmp_path / "echo" / "fault.appnet"
            fault.write_text(fault.read_text().replace("prob = 2.0", "prob = 3.0"))
            await application.machine.controller.upgrade()
            await asyncio.sleep(2)
        receiver._bind = address
        await receiver.start()
        await eventually(lambda: len(application.spans) >= 40, SECONDS)
        logged = StreamKey("logging", "record_req")
        await eventually(lambda: application.machine.telemetry.records.counts().get(logged) == 20, SECONDS)
        assert (len(application.spans), dropped(application)) == (40, 0)
        totals = application.machine.telemetry.totals
        await eventually(lambda: totals.by([CALLS], [SIDE]) == {("client",): 20, ("server",): 20}, SECONDS)


@all_targets
@asynchronous
async def test_spans_that_a_collector_refuses_are_counted(tmp_path: Path, target: str) -> None:
    refused = 0

    async def refuse(request: web.Request) -> web.Response:
        nonlocal refused
        refused += len(ExportTraceServiceRequest.FromString(await request.read()).resource_spans)
        return web.Response(status=401)

    async with traced(tmp_path, target=target) as application:
        receiver = application.machine.telemetry.receiver
        address = receiver.address
        await receiver.stop()
        strict = web.Application()
        strict.router.add_post("/v1/traces", refuse)
        runner = web.AppRunner(strict)
        await runner.setup()
        await web.TCPSite(runner, address.host, address.port).start()
        await calls(application, 20)
        await eventually(lambda: refused >= 2, SECONDS)
        await runner.cleanup()
        receiver._bind = address
        await receiver.start()
        await eventually(lambda: dropped(application) + len(application.spans) >= 40, SECONDS)
        assert dropped(application) > 0
        assert dropped(application) + len(application.spans) == 40
