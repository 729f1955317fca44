"""`appnetctl run`: what the person at the terminal sees."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import aiohttp
from rich.console import Console

from appnet.codegen.c import Target
from appnet.control.local import LocalRunner, RolloutError, RunSettings
from appnet.control.watch import saves
from appnet.ir.nodes import StateClass
from appnet.language.diagnostics import Diagnostic, DiagnosticError
from appnet.network.placement import OptLevel, Side
from appnet.observe.store import StreamSummary

_FAULT = "fault_injected"
_MAX_FAULTS = 20  # in a row; at 1 in 100 this is no chance but a chain that refuses everything
_RECORDS_TIMEOUT_SECONDS = 10.0
_SUMMARY_SECONDS = 2.0


@dataclass(frozen=True)
class Answer:
    """What the frontend said; ``status`` and ``message`` are those of the gRPC call behind it."""

    text: str
    status: int
    message: str


@dataclass(frozen=True)
class _Expectation:
    key: str
    what: str
    holds: Callable[[Answer], bool]


_EXPECTED = (
    _Expectation("hello", "the server's name", lambda it: it.status == 0 and it.text.startswith("You've hit server-")),
    _Expectation(
        "test", "a refusal by the firewall", lambda it: it.text == "Echo server returns an error." and it.status != 0
    ),
)


async def run_once(config: Path, target: Target, level: OptLevel, out: Console) -> bool:
    """Runs the application, makes the guide's two calls and shows the records; whether all was as it should be."""
    with tempfile.TemporaryDirectory(prefix="appnet-") as folder:
        async with LocalRunner(RunSettings(config, Path(folder), target, level), _progress(out)) as runner:
            _show_start(runner, out)
            good = await _two_calls(runner, out)
            return await _show_records(runner, out) and good


async def run_until_told(config: Path, target: Target, level: OptLevel, out: Console) -> bool:
    """Runs the application until Ctrl-C or SIGTERM, upgrading it at every save."""
    running = asyncio.current_task()
    assert running is not None
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set() or not up.is_set():
            running.cancel()
        stop.set()

    up = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told)
    try:
        with tempfile.TemporaryDirectory(prefix="appnet-") as folder:
            async with LocalRunner(RunSettings(config, Path(folder), target, level), _progress(out)) as runner:
                up.set()
                await _stay_up(runner, out, stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    out.print("stopped")
    return True


async def _stay_up(runner: LocalRunner, out: Console, stop: asyncio.Event) -> None:
    _show_start(runner, out)
    await _two_calls(runner, out)
    out.print(f"\nup at {runner.url}; save an element or the configuration to upgrade; Ctrl-C ends")
    showing = asyncio.create_task(_show_summaries(runner, out))
    try:
        async for _ in saves(lambda: runner.running.edge.files, stop):
            await _upgrade(runner, out)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _upgrade(runner: LocalRunner, out: Console) -> None:
    saved = time.monotonic()
    try:
        rollout = await runner.upgrade()
    except DiagnosticError as error:
        _show_diagnostics(error.diagnostics, out)
        out.print("the version before runs on")
        return
    except RolloutError as error:
        out.print(f"error: {error}", markup=False)
        out.print("the version before runs on")
        return
    if rollout is None:
        out.print("saved; nothing changed for the proxies")
        return
    took = (time.monotonic() - saved) * 1e3
    _show_diagnostics(rollout.compiled.edge.warnings, out)
    for node, delivery in rollout.deliveries.items():
        out.print(f"  {node}: {delivery.acceptance.name}")
    out.print(
        f"version {rollout.compiled.version} runs ({', '.join(rollout.changed) or 'chains moved'}): "
        f"{took:.0f} ms, of them {rollout.compiled_ms:.0f} compiling"
    )


def _progress(out: Console) -> Callable[[str], None]:
    return lambda text: out.print(f"[dim]{text} …[/]")


def _show_start(runner: LocalRunner, out: Console) -> None:
    _show_diagnostics(runner.running.edge.warnings, out)
    plan = runner.running.plan
    for side in Side:
        modules = [" + ".join(e.name.value for e in it.elements) for it in plan.on(side)]
        out.print(f"  {plan.edge.service(side)}'s proxy runs {', '.join(modules) or 'no element'}", markup=False)


def _show_diagnostics(diagnostics: tuple[Diagnostic, ...] | list[Diagnostic], out: Console) -> None:
    for diagnostic in diagnostics:
        out.print(diagnostic.render(), markup=False)


async def _two_calls(runner: LocalRunner, out: Console) -> bool:
    good = True
    async with aiohttp.ClientSession() as session:
        for expected in _EXPECTED:
            answer = await _call(session, runner.url, expected.key, out)
            if not expected.holds(answer):
                status = f"gRPC status {answer.status} {answer.message!r}"
                out.print(f"failed: expected {expected.what}, not {answer.text!r} ({status})", markup=False)
                good = False
    return good


async def _call(session: aiohttp.ClientSession, url: str, key: str, out: Console) -> Answer:
    """Calls as curl would, again where the fault element answered."""
    for _ in range(_MAX_FAULTS):
        out.print(f"$ curl '{url}/?key={key}'", markup=False)
        async with session.get(url, params={"key": key}) as response:
            text = (await response.text()).strip()
            headers = response.headers
            answer = Answer(text, int(headers.get("grpc-status", "2")), unquote(headers.get("grpc-message", "")))
        out.print(text, markup=False)
        if answer.message != _FAULT:
            break
        out.print("[dim](the fault element refused this call, as it does 1 in 100; once more)[/]")
    return answer


async def _show_records(runner: LocalRunner, out: Console) -> bool:
    """Waits for records of every stream that the two calls must have filled, and shows them."""
    deadline = time.monotonic() + _RECORDS_TIMEOUT_SECONDS
    wanted = _streams(runner)
    while time.monotonic() < deadline and not wanted <= _heard_of(runner):
        await asyncio.sleep(0.05)
    out.print("\nrecords:")
    for summary in runner.records.summaries():
        for record in runner.records.records(*summary.key):
            out.print(f"  {summary.key.element}.{summary.key.variable} = {record.value!r}", markup=False)
    missing = wanted - _heard_of(runner)
    if missing:
        out.print(f"failed: no records of {', '.join(sorted(missing))} within {_RECORDS_TIMEOUT_SECONDS:.0f} s")
    return not missing


def _heard_of(runner: LocalRunner) -> set[str]:
    return {f"{it.element}.{it.variable}" for it in runner.records.counts()}


def _streams(runner: LocalRunner) -> set[str]:
    return {
        f"{element.name}.{variable.name}"
        for element in runner.running.edge.elements.values()
        for variable in element.state
        if variable.state_class is StateClass.RECORD
    }


async def _show_summaries(runner: LocalRunner, out: Console) -> None:
    """A line for each stream that has something new, every other second."""
    shown: dict[str, int] = {}
    while True:
        await asyncio.sleep(_SUMMARY_SECONDS)
        for summary in runner.records.summaries():
            name = f"{summary.key.element}.{summary.key.variable}"
            if shown.get(name) != summary.count:
                shown[name] = summary.count
                out.print(f"  {name}: {_described(summary)}", markup=False)


def _described(summary: StreamSummary) -> str:
    if summary.floats is None:
        return f"{summary.count} records, the latest {summary.latest.value!r}"
    return f"{summary.count} records, median {summary.floats.p50:.6f}, p99 {summary.floats.p99:.6f}"
