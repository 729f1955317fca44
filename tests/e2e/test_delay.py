"""What `delay` marks waits in the proxy, and in a running application from the edit on that adds it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from appnet.deploy.local.machine import LocalMachine
from appnet.language.operations.metadata import DELAY, HIDDEN_KEYS
from tests.e2e.conftest import ECHO, ELEMENTS, Proxied, StartProxied
from tests.quickstart.support import judged, sample, settings_of
from tests.support.asynchronous import asynchronous
from tests.support.raw_grpc import RawClient, frame, string_field

LONG_SECONDS = 30.0
DELAY_SECONDS = 0.39  # Envoy's timers round to its loop's time: a little less than the 400 ms that are asked for


def seconds_of_call(proxied: Proxied, **headers: str) -> float:
    """Makes a call, whose server sees nothing of how it was delayed."""
    began = time.monotonic()
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, frame(string_field(1, b"hello")), list(headers.items())).grpc_status == 0
    assert {proxied.server.seen[-1].header(it) for it in HIDDEN_KEYS} == {None}
    return time.monotonic() - began


def test_a_marked_call_waits_whatever_its_caller_says(start_proxied: StartProxied) -> None:
    proxied = start_proxied("delay_all")
    assert seconds_of_call(proxied) >= DELAY_SECONDS
    never = {DELAY: "0", f"{DELAY}-percentage": "0"}
    assert seconds_of_call(proxied, **never) >= DELAY_SECONDS
    assert seconds_of_call(proxied, **{DELAY: "60000"}) < LONG_SECONDS


def test_a_caller_delays_nothing(start_proxied: StartProxied) -> None:
    for element in ("delay_none", "headers"):
        assert seconds_of_call(start_proxied(element), **{DELAY: "60000"}) < LONG_SECONDS


def test_delays_of_both_sides_add_up(start_proxied: StartProxied) -> None:
    ingress = start_proxied("delay_all")
    egress = start_proxied("delay_all", ingress)
    assert seconds_of_call(replace(egress, server=ingress.server)) >= 2 * DELAY_SECONDS


@asynchronous
async def test_an_edit_adds_the_delay_to_a_running_application(tmp_path: Path) -> None:
    config = sample(tmp_path)
    fault = config.with_name("fault.appnet")
    fault.write_text(ELEMENTS["headers"])
    async with LocalMachine(settings_of(config, tmp_path)) as machine:
        assert (await judged(machine.url("frontend"), "hello")).status == 0
        fault.write_text(ELEMENTS["delay_all"])
        await machine.controller.upgrade()
        began = time.monotonic()
        assert (await judged(machine.url("frontend"), "hello")).status == 0
        assert time.monotonic() - began >= DELAY_SECONDS
        fault.write_text(ELEMENTS["headers"])
        await machine.controller.upgrade()
        assert (await judged(machine.url("frontend"), "hello")).status == 0
