"""Runs traffic through the interpreter, as a processor would bring it."""

from __future__ import annotations

from collections.abc import Iterator

from appnet.interpret import ChainInstance, Forwarded, Outcome, Rpc
from tests.support.sample import SAMPLE
from tests.support.traffic import Exchange, Step, Traffic


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        return self.now_ns


def run(chain: ChainInstance, clock: Clock, traffic: Traffic) -> Iterator[tuple[Step, Exchange, Rpc, Outcome | None]]:
    """Each step with the state of its call after it; a refused call has no further steps, an "end" no outcome."""
    rpcs: dict[int, Rpc] = {}
    over: set[int] = set()
    for step in traffic.steps:
        clock.now_ns += step.after_ns
        exchange = traffic.exchanges[step.exchange]
        if step.kind == "request":
            rpcs[step.exchange] = Rpc(SAMPLE, dict(exchange.request), dict(exchange.metadata))
        elif step.exchange in over:
            continue
        rpc = rpcs[step.exchange]
        outcome: Outcome | None = None
        if step.kind == "request":
            outcome = chain.request(rpc)
        elif step.kind == "response":
            rpc.message, rpc.response_metadata = dict(exchange.response), dict(exchange.response_metadata)
            outcome = chain.response(rpc, exchange.status)
        else:
            chain.end(rpc)
        if not isinstance(outcome, Forwarded) or step.kind == "response":
            over.add(step.exchange)
        yield step, exchange, rpc, outcome
