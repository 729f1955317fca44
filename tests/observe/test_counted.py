"""What two real sidecars count is what the load generator saw, across upgrades."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appnet.cli.observed import seen
from appnet.compile.fit import load_application
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.status import StatusServer
from appnet.diagnostics.source import FileSource
from appnet.measure.load.generator import LoadResult, LoadSettings, Request, run_load
from appnet.measure.load.upstream import Upstream
from appnet.observe.totals_page import totals_document
from appnet.processors.envoy.targets import TARGETS
from appnet.system.address import ANY_LOCAL_PORT, Address
from tests.quickstart.support import APPNETCTL, sample, settings_of
from tests.support.asynchronous import asynchronous
from tests.support.raw_grpc import string_field

pytestmark = pytest.mark.e2e

METHOD = "echo.EchoService/echo"
CALLS = 4_000


def requests() -> list[Request]:
    return [Request(string_field(1, b"hello"), weight=3), Request(string_field(1, b"test"))]


async def load(port: int) -> LoadResult:
    return await asyncio.to_thread(run_load, port, requests(), LoadSettings(2, 8, CALLS))


async def told(machine: LocalMachine, calls: int) -> dict[str, Any]:
    """What was counted, once all calls have been told of at both ends."""
    for _ in range(200):
        found = totals_document(machine.telemetry.totals)
        ended = Counter[str]()
        for it in found["calls"]:
            ended[it["side"]] += it["count"] - it["in_flight"]
        if ended["client"] == calls:
            await asyncio.sleep(1.5)  # for the other end
            return totals_document(machine.telemetry.totals)
        await asyncio.sleep(0.1)
    raise AssertionError(found)


def sums(entries: list[dict[str, Any]], *keys: str) -> dict[tuple[str, ...], int]:
    counts: Counter[tuple[str, ...]] = Counter()
    for it in entries:
        counts[tuple(it[key] for key in keys)] += it["count"]
    return dict(counts)


def appnetctl(*arguments: str) -> str:
    ran = subprocess.run([*APPNETCTL, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def commands_agree(config: Path, status: str, found: dict[str, Any]) -> None:
    """`top` and `logs` show what was counted and recorded, and `plan` sees the traffic."""
    top = json.loads(appnetctl("top", "--status", status, "--interval", "0.2", "-o", "json"))
    assert sums(top["calls"], "side") == sums(found["calls"], "side")
    assert sums(top["rows"], "element", "row") == sums(found["rows"], "element", "row")
    assert {it["per_second"] for kind in ("calls", "refusals", "rows") for it in top[kind]} == {0.0}
    text = appnetctl("top", "--status", status, "--interval", "0.1")
    assert "fault" in text
    assert "ABORTED" in text
    assert "logging.record_req" in text
    plan = json.loads(appnetctl("plan", str(config), "--observed", status, "--interval", "0.1", "-o", "json"))
    assert plan["cores"] == 0, "nobody calls"
    since = json.loads(appnetctl("top", "--status", status, "--since", "1h", "-o", "json"))
    assert sums(since["calls"], "side") == sums(found["calls"], "side")
    assert 0 < since["seconds"] < 3600
    whole = appnetctl("logs", "--status", status, "--element", "logging", "--since", "1h").splitlines()
    assert len(whole) > 1_000, "all that there are"
    lines = appnetctl("logs", "--status", status, "--element", "logging", "--tail", "3").splitlines()
    assert len(lines) == 3
    assert all("logging.record_" in it for it in lines)


@pytest.mark.parametrize("target", list(TARGETS))
@asynchronous
async def test_counts_are_those_of_the_load_generator(tmp_path: Path, target: str) -> None:
    config = sample(tmp_path)
    fault = config.with_name("fault.appnet")
    with Upstream() as server:
        settings = replace(
            settings_of(config, tmp_path, target), upstreams={"server": (Address("127.0.0.1", server.port),)}
        )
        async with LocalMachine(settings) as machine:
            entrance = machine.entrances["frontend", "server"]
            before = await load(entrance.port)
            fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 0.9"))
            await machine.controller.upgrade()
            after = await load(entrance.port)
            found = await told(machine, 2 * CALLS)
            async with StatusServer(machine, ANY_LOCAL_PORT, print) as status:
                await asyncio.to_thread(commands_agree, config, str(status.address), found)
    outcomes = Counter(before.by_status()) + Counter(after.by_status())
    faults = sum(count for (_, message), count in outcomes.items() if message == "fault_injected")
    walls = sum(count for (_, message), count in outcomes.items() if message == "firewall")
    assert sums(found["calls"], "side") == {("client",): 2 * CALLS, ("server",): 2 * CALLS - faults}
    assert {it["in_flight"] for it in found["calls"]} == {0}
    assert {(it["client"], it["server"], it["method"]) for it in found["calls"]} == {("frontend", "server", METHOD)}
    assert len({it["version"] for it in found["calls"] if it["side"] == "client"}) == 2, "one upgrade"
    assert sums(found["refusals"], "element", "handler", "code") == {
        ("fault", "req", "ABORTED"): faults,
        ("firewall", "req", "ABORTED"): walls,
    }
    rows = sums(found["rows"], "element", "handler", "row")
    assert rows["fault", "req", "1a"] == 2 * CALLS - faults
    assert rows["fault", "req", "1b"] == faults
    assert rows["firewall", "req", "1a.1b"] == walls
    assert rows["firewall", "req", "1a"] == walls
    assert rows["firewall", "req", "1b"] == 2 * CALLS - faults - walls
    nothing = {"time": 0.0, "calls": [], "rows": [], "refusals": [], "replies": []}
    (traffic,) = seen(nothing, found, load_application(FileSource(config)).chains)
    assert traffic.reached["firewall"] == 2 * CALLS - faults
    assert traffic.profile.refused == {
        "fault": faults / (2 * CALLS),
        "logging": 0.0,
        "metrics": 0.0,
        "firewall": walls / (2 * CALLS - faults),
    }
    durations = [it["duration"] for it in found["calls"] if it["side"] == "client"]
    assert sum(sum(it["counts"]) for it in durations) == 2 * CALLS
    mean = sum(it["sum"] for it in durations) / (2 * CALLS)
    assert 0 < mean < 1
    assert sums(found["starts"], "side") == {("client",): 2, ("server",): 1}
    read = sums(found["bytes"], "side", "direction")
    assert read["server", "request"] == 6 * walls + 7 * (2 * CALLS - faults - walls), "the firewall reads them"
    for it in found["calls"]:
        assert 0 <= sum(it["stay"]["counts"]) - it["count"] // 64 <= 8, "one of 64, for each thread"
        assert it["stay"]["sum"] > 0
