"""Chains of the samples, cut into modules in every way: on a real Envoy no cut is told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import pytest

from appnet.language.operations.metadata import NUMBER
from tests.e2e.conftest import ECHO, ELEMENTS, StartProxied
from tests.support.raw_grpc import RawClient, RecordingServer, Reply, frame, string_field

ELEMENTS["two_failures"] = ELEMENTS["circuit_breaker"].replace("failures = 5", "failures = 2")
ELEMENTS["ten_bytes"] = ELEMENTS["bandwidth_limit"].replace("1000000.0", "10.0").replace("rate = 10.0", "rate = 0.0")
ELEMENTS["tagged_errors"] = """\
state:
    pass

init():
    pass

req(rpc):
    set_metadata(rpc, 'x-seen', get(rpc, 'body'))
    if get(rpc, 'body') == 'no':
        set_metadata(rpc, 'retry-after', '7')
        send(err('no', FAILED_PRECONDITION), Up)
    send(rpc, Down)

resp(rpc):
    if status(rpc) == 9:
        set_metadata(rpc, 'x-told', get_metadata(rpc, 'retry-after'))
    send(rpc, Up)
"""
NUMBERED = """\
state:
    pass

init():
    pass

req(rpc):
    set_metadata(rpc, 'x-number-NAME', to_string(rpc_id()))
    if get(rpc, 'body') == 'REFUSED':
        send(err(to_string(rpc_id()), FAILED_PRECONDITION), Up)
    send(rpc, Down)

resp(rpc):
    set_metadata(rpc, 'x-answer-NAME', to_string(rpc_id()))
    send(rpc, Up)
"""
for name, refused in (("one", "no"), ("two", "secret")):
    ELEMENTS[f"number_{name}"] = NUMBERED.replace("NAME", name).replace("REFUSED", refused)
CHAINS = (
    ("two_failures", "redact", "tagged_errors"),
    ("logging", "acl", "firewall"),
    ("headers", "cache", "ten_bytes"),
    ("tagged_errors", "concurrency_limit", "response_firewall"),
    ("firewall", "number_one", "acl", "number_two"),
    ("number_one", "firewall", "number_two"),
)
SENT = (NUMBER, "x-seen", "x-tenant", "x-number-one", "x-number-two")
CALLS = ("a", "test", "no", "secret", "a", "a longer body", "no", "a", "secret", "no", "a")


def cuts(chain: tuple[str, ...]) -> Iterator[list[str]]:
    for count in range(len(chain)):
        for at in combinations(range(1, len(chain)), count):
            yield ["+".join(chain[start:end]) for start, end in pairwise([0, *at, len(chain)])]


def told(reply: Reply) -> Any:
    """All that the caller can tell."""
    headers = {key: value for block in reply.blocks for key, value in block if key not in {"date", "content-length"}}
    return headers, reply.body, reply.reset


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_no_cut_is_told(start_proxied: StartProxied, chain: tuple[str, ...]):
    seen = []
    for modules in cuts(chain):
        with RecordingServer(frame(string_field(1, b"secret"))) as server:
            proxied = start_proxied(modules[-1], server=server, before=modules[:-1])
            with RawClient(proxied.port) as client:
                metadata = [("user", "admin"), (NUMBER, "7")]
                replies = [client.call(ECHO, frame(string_field(1, it.encode())), metadata) for it in CALLS]
            requests = [(*map(it.header, SENT), it.body) for it in server.seen]
        seen.append(([told(it) for it in replies], requests))
    first, *others = seen
    assert len({it.grpc_status for it in replies}) > 1
    for it in others:
        assert it == first
    assert all(hidden is None for _, requests in seen for hidden, *_ in requests)
