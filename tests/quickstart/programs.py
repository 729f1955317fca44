"""The echo application whose programs run their chains themselves, whatever language they are in."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from pathlib import Path

from aiohttp import ClientSession

from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.status import StatusServer
from appnet.observe.points import SIDE
from appnet.observe.spans import Span
from appnet.system.address import ANY_LOCAL_PORT, Address
from tests.quickstart.support import APPNETCTL, ECHO, judged, refusals, running, settings_of
from tests.support.asynchronous import eventually

CONFIG = "sample_echo_grpc.yaml"
SECONDS = 60.0
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def copied(folder: Path, name: str) -> Path:
    """The configuration of a copy of a sample, which a test may change."""
    for it in ("echo", name):
        shutil.copytree(ECHO.with_name(it), folder / it)
    return folder / name / CONFIG


def run_once(folder: Path, config: Path) -> None:
    """The guide's calls, without any proxy."""
    with running(folder, config, "--once") as it:
        assert it.process.wait(120) == 0, it.output
    output = it.output
    assert re.search(r"\$ curl 'http://127\.0\.0\.1:\d+/\?key=hello'\nYou've hit server-\w+\n", output), output
    assert re.search(r"\$ curl 'http://127\.0\.0\.1:\d+/\?key=test'\nEcho server returns an error\.\n", output), output
    assert "'hello'  at 'frontend-grpc'" in output
    assert re.search(r"metrics\.latency: .* median \d", output), output
    assert output.endswith("all checks passed\n")
    assert "envoy" not in output


def upgrade_while_it_runs(folder: Path, config: Path) -> None:
    """Programs take what is saved, without starting again."""

    async def scenario() -> None:
        async with LocalMachine(settings_of(config, folder)) as machine:
            url = machine.url("frontend")
            assert (await judged(url, "hello")).text.startswith("You've hit")
            assert (await judged(url, "test")).message == "firewall"
            firewall = folder / "echo" / "firewall.appnet"
            firewall.write_text(firewall.read_text().replace("'test'", "'hello'"))
            rollout = await machine.controller.upgrade()
            assert rollout is not None
            assert set(rollout.accept_seconds) == {"server-grpc"}
            assert (await judged(url, "hello")).message == "firewall"
            assert (await judged(url, "test")).text.startswith("You've hit")
            assert not machine.strangers()
            counted = await refusals(machine, "firewall", 2)
            assert counted == {("server", "ABORTED"): 2}, "by both versions"

    asyncio.run(scenario())


def trace_and_explain(folder: Path, config: Path) -> None:
    """A call through both programs is in the trace of its caller, and a refusal says why, under each of its names."""
    fault = folder / "echo" / "fault.appnet"
    fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 2.0"))  # never

    async def call(machine: LocalMachine, key: str, headers: dict[str, str]) -> str:
        async with (
            ClientSession() as session,
            session.get(f"{machine.url('frontend')}/?key={key}", headers=headers) as it,
        ):
            return await it.text()

    async def scenario() -> None:
        spans: list[Span] = []
        async with LocalMachine(settings_of(config, folder)) as machine:
            machine.telemetry.receiver.trace(spans.append)
            assert (await call(machine, "hello", {})).startswith("You've hit")
            await call(machine, "hello", {"traceparent": f"00-{TRACE}-{CALLER}-00"})
            await call(machine, "hello", {"b3": f"{TRACE[::-1]}-{CALLER}-1"})
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "x-request-id": "the-call"}
            assert "error" in await call(machine, "test", headers)
            await eventually(lambda: len(spans) >= 4, SECONDS)
            assert len(spans) == 4, "and none of the calls that nobody traces"
            refused, passed = ([it for it in spans if it.trace_id == trace] for trace in (TRACE, TRACE[::-1]))
            for found, status in (refused, "ABORTED"), (passed, "OK"):
                client, server = sorted(found, key=lambda it: str(it.resource[SIDE]))
                assert (client.parent_id, server.parent_id) == (CALLER, client.span_id)
                assert (client.kind, server.kind) == (3, 2)
                assert client.start_ns <= server.start_ns <= server.end_ns <= client.end_ns
                assert {it.attributes["rpc.response.status_code"] for it in found} == {status}
            rows = [(it.attributes.get("appnet.row"), it.attributes.get("appnet.verdict")) for it in server.events]
            assert rows == [("1b", "forward")]
            await eventually(lambda: bool(machine.telemetry.refusals.of_call(TRACE)), SECONDS)
            async with StatusServer(machine, ANY_LOCAL_PORT, print) as status:
                seen = await printed(status.address, "traces", TRACE)
                assert "2 spans in" in seen
                assert "firewall req row 1a.1b refuse ABORTED" in seen
                for name in ((TRACE,), ("the-call",), ("--last", "firewall")):
                    told = await printed(status.address, "why", *name)
                    assert "It refused in row 1a.1b" in told
                    assert 'rpc.Body                    "test"' in told
                    assert "Run again on the interpreter, it refuses in the same row." in told
                    assert "at server-grpc" in told
            [why] = machine.telemetry.refusals.of_call(TRACE)
            assert spans[0].start_ns <= why.time_ns <= time.time_ns()

    asyncio.run(scenario())


async def printed(status: Address, *arguments: str) -> str:
    """What `appnetctl` prints of what this status address has."""
    command = [*APPNETCTL, *arguments, "--status", str(status)]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return str(ran.stdout)
