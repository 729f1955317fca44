"""Deadlines of callers through two proxies: calls end as they would without them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import pytest

from tests.e2e.conftest import ECHO, Proxied, StartProxied
from tests.support.lasting_calls import TICK, WAIT, CallsServer, message, methods
from tests.support.raw_grpc import RawClient, RecordingServer, frame

RIGHT = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
YOUNG_RESETS = 300  # of so many, Envoy by itself closes their connection
AT_ONCE = 32


@dataclass
class Calls:
    ingress: Proxied
    server: CallsServer
    channel: grpc.Channel


@pytest.fixture(scope="module")
def calls(start_module_proxied: StartProxied) -> Iterator[Calls]:
    server = CallsServer()
    every = list(methods().values())
    ingress = start_module_proxied("headers", server, methods=every)
    egress = start_module_proxied("headers", ingress, methods=every)
    with grpc.insecure_channel(f"127.0.0.1:{egress.port}") as channel:
        yield Calls(ingress, server, channel)
    server.close()


def codes(count: int, call: Callable[[float], object]) -> set[grpc.StatusCode]:
    """How so many calls end whose deadlines are near."""

    def one(number: int) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as ended:
            call(0.05 + number % 10 / 100)
        return ended.value.code()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return set(pool.map(one, range(count)))


def test_a_stream_ends_at_its_callers_deadline(calls: Calls) -> None:
    tick = calls.channel.unary_stream(TICK)
    assert codes(200, lambda timeout: list(tick(message("hello"), timeout=timeout))) <= RIGHT


def test_a_unary_call_ends_at_its_callers_deadline(calls: Calls) -> None:
    wait = calls.channel.unary_unary(WAIT)
    assert codes(200, lambda timeout: wait(message("hello"), timeout=timeout)) <= RIGHT


def test_deadlines_of_others_do_not_end_a_call(calls: Calls) -> None:
    wait = calls.channel.unary_unary(WAIT)
    patient = wait.future(message("patient"), timeout=60)
    assert codes(YOUNG_RESETS, lambda timeout: wait(message("hello"), timeout=timeout)) <= RIGHT
    calls.server.released.set()
    assert patient.result() == message("patient")
    calls.server.released.clear()


def test_no_proxy_ends_a_call_by_itself(calls: Calls) -> None:
    dump = calls.ingress.config_dump()
    assert '"max_stream_duration"' not in dump
    assert '"idle_timeout"' not in dump
    assert {it["stream_idle_timeout"] for it in found(json.loads(dump), "stream_idle_timeout")} == {"0s"}


def found(tree: object, key: str) -> Iterator[dict[str, object]]:
    """The mappings in the tree that have the key."""
    if isinstance(tree, dict):
        if key in tree:
            yield tree
        tree = list(tree.values())
    for it in tree if isinstance(tree, list) else ():
        yield from found(it, key)


CANCEL, REFUSED_STREAM = 8, 7


def test_a_call_that_the_server_gives_up(start_proxied: StartProxied):
    """The caller is told of its deadline where this has come; a stream that is refused another server may take."""
    with RecordingServer() as server:
        proxied = start_proxied("header_firewall", server=server)
        with RawClient(proxied.port) as client:
            for error, timeout, after, code in (
                (CANCEL, "", 0.0, 1),
                (CANCEL, "10S", 0.0, 1),
                (CANCEL, "99999999H", 0.0, 1),
                (CANCEL, "300m", 0.1, 1),
                (CANCEL, "100000u", 0.1, 4),
                (CANCEL, "100m", 0.1, 4),
                (CANCEL, "1S", 1.0, 4),
                (REFUSED_STREAM, "10S", 0.0, 14),
            ):
                server.resets_with, server.resets_after = error, after
                deadline = [("grpc-timeout", timeout)] if timeout else []
                assert client.call(ECHO, frame(b""), deadline).grpc_status == code, (error, timeout)
