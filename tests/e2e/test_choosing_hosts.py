"""The host that an element chooses is the one that Envoy calls."""

from __future__ import annotations

import time

from appnet.language.operations.metadata import HOST
from tests.e2e.conftest import ECHO, Proxied, StartProxied
from tests.support.raw_grpc import RawClient, frame, string_field

UNAVAILABLE = 14
MESSAGE = frame(string_field(1, b"hello"))


def call(proxied: Proxied, **headers: str) -> int:
    """Makes a call; the number of the host that it came to, which does not see who chose it."""
    servers = [proxied.server, *proxied.others]
    before = [len(it.seen) for it in servers]
    with RawClient(proxied.port) as client:
        stream = client.start(ECHO, list(headers.items()))
        client.send(stream, MESSAGE, end_stream=True)
        assert client.receive(stream).grpc_status == 0
    (reached,) = [number for number, it in enumerate(servers) if len(it.seen) > before[number]]
    seen = servers[reached].seen[-1]
    assert (seen.header("dst"), seen.header(HOST)) == (headers.get("dst"), None)
    return reached


def test_a_session_stays_at_its_host(start_proxied: StartProxied) -> None:
    proxied = start_proxied("sticky", hosts=3)
    sessions = {f"s{number}": call(proxied, session=f"s{number}") for number in range(40)}
    assert set(sessions.values()) == {0, 1, 2}
    for session, host in sessions.items():
        assert call(proxied, session=session) == host


def test_whoever_asks_for_the_canary_gets_it(start_proxied: StartProxied) -> None:
    proxied = start_proxied("canary", hosts=3)
    assert [call(proxied, **{"x-canary": "true"}) for _ in range(5)] == [2] * 5


def test_prequal_leaves_a_host_that_says_it_is_hot(start_proxied: StartProxied) -> None:
    proxied = start_proxied("prequal_client", hosts=3)
    for number, server in enumerate([proxied.server, *proxied.others]):
        server.reply_headers = [("x-rif", str(number)), ("x-latency", str(3 - number))]
    assert {call(proxied) for _ in range(3)} == {0, 1, 2}
    assert [call(proxied) for _ in range(5)] == [1] * 5, "host 2 is the fastest, but hot"


def test_a_host_that_is_gone_costs_its_calls_alone(start_proxied: StartProxied) -> None:
    proxied = start_proxied("canary", hosts=3)
    proxied.others[1].close()
    with RawClient(proxied.port) as client:
        assert client.call(ECHO, MESSAGE, [("x-canary", "true")]).grpc_status == UNAVAILABLE
        others = [client.call(ECHO, MESSAGE).grpc_status for _ in range(8)]  # of which a few may be the canary's, too
        assert others.count(0) > 2


def test_the_load_of_a_host_is_its_calls_in_flight(start_proxied: StartProxied) -> None:
    proxied = start_proxied("asked_for_load", hosts=2)
    (host,) = proxied.others
    host.answering = False

    def load(client: RawClient) -> str | None:
        return client.call(ECHO, frame(string_field(1, b"ask"))).header("grpc-message")

    with RawClient(proxied.port) as client:
        with RawClient(proxied.port) as waiting:
            for _ in range(3):
                waiting.send(waiting.start(ECHO), MESSAGE, end_stream=True)
            host.wait_for(3)
            assert load(client) == "3"
        deadline = time.monotonic() + 5  # Envoy learns that the caller has gone
        while load(client) != "0" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert load(client) == "0"
        host.answering = True
        assert client.call(ECHO, MESSAGE).grpc_status == 0
        assert load(client) == "0"


def test_what_a_caller_calls_dst_is_its_own(start_proxied: StartProxied) -> None:
    proxied = start_proxied("seen_dst", hosts=3, before=["to_host_1"])
    for chosen_by_caller in ({}, {"dst": "2"}, {HOST: "2"}, {"dst": "any", HOST: "any"}):
        assert call(proxied, **chosen_by_caller) == 1
        assert proxied.others[0].seen[-1].header("x-seen") == f"dst={chosen_by_caller.get('dst', '')}"
    alone = start_proxied("seen_dst", hosts=3)
    for name in ("dst", HOST):
        assert {call(alone, **{name: "2"}) for _ in range(30)} == {0, 1, 2}


def test_a_single_host_does_not_see_who_chose_it(start_proxied: StartProxied) -> None:
    egress = start_proxied("to_host_1", start_proxied("seen_dst"))
    assert call_of_one(egress.server, egress.port, dst="2") == "dst=2"


def call_of_one(behind: Proxied, port: int, **headers: str) -> str | None:
    """What the element behind a proxy with one host saw."""
    with RawClient(port) as client:
        assert client.call(ECHO, MESSAGE, list(headers.items())).grpc_status == 0
    seen = behind.server.seen[-1]
    assert seen.header(HOST) is None
    return seen.header("x-seen")
