"""What `delay` marks waits in the proxy, and in a running application from the edit on that adds it."""

from __future__ import annotations

import time
from pathlib import Path

from appnet.deploy.local.machine import LocalMachine
from appnet.processors.envoy.headers import DELAY
from appnet.samples.guide import get
from tests.e2e.conftest import ECHO, ELEMENTS, Proxied, StartProxied
from tests.quickstart.support import sample, settings_of
from tests.support.asynchronous import asynchronous
from tests.support.raw_grpc import RawClient, frame, string_field

DELAY_SECONDS = 0.39  # Envoy's timers round to its loop's time: a little less than the 400 ms that are asked for


def seconds_of_call(proxied: Proxied) -> float:
    began = time.monotonic()
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, frame(string_field(1, b"hello"))).grpc_status == 0
    return time.monotonic() - began


def test_a_marked_call_waits_and_its_server_sees_no_mark(start_proxied: StartProxied) -> None:
    proxied = start_proxied("delay_all")
    assert seconds_of_call(proxied) >= DELAY_SECONDS
    assert proxied.server.seen[-1].header(DELAY) is None


@asynchronous
async def test_an_edit_adds_the_delay_to_a_running_application(tmp_path: Path) -> None:
    config = sample(tmp_path)
    fault = config.with_name("fault.appnet")
    fault.write_text(ELEMENTS["headers"])
    async with LocalMachine(settings_of(config, tmp_path)) as machine:
        assert (await get(machine.url, "hello")).status == 0
        fault.write_text(ELEMENTS["delay_all"])
        await machine.controller.upgrade()
        began = time.monotonic()
        assert (await get(machine.url, "hello")).status == 0
        assert time.monotonic() - began >= DELAY_SECONDS
        fault.write_text(ELEMENTS["headers"])
        await machine.controller.upgrade()
        assert (await get(machine.url, "hello")).status == 0
