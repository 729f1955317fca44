"""What an interceptor costs a client in Python: nothing, four elements in the library, and the same four by hand.

    python -m benchmarks.grpc_python [ROUNDS]

First, CPU time of the thread for one call, whose channel answers at once; then that of the process for whole RPCs over
loopback, client and server in it, with the chain on both sides. Ways are interleaved, and the least of all rounds
counts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc

from appnet.grpc.client import ClientInterceptor, Details
from appnet.grpc.outcome import Outcome
from appnet.grpc.server import ServerInterceptor
from tests.grpc.service import METHODS, SERVICE, BlockingCaller, Service, end_with, message, request, serving
from tests.processors.grpc.chains import write_chains

CALLS, WHOLE = 500, 50


class ByHand(grpc.UnaryUnaryClientInterceptor, grpc.ServerInterceptor):
    """Firewall, rate limit, header and latency record, as somebody would write them."""

    def __init__(self) -> None:
        self._acl = {b"test": "No"}
        self._tokens, self._last = 1e9, time.monotonic()
        self._latencies: list[float] = []

    def _request(self, given: Any) -> float:
        begun = time.monotonic()
        permission = self._acl.get(given.payload.body)
        if permission is not None and permission != "Yes":
            raise RuntimeError("firewall")
        self._tokens = min(1e9, self._tokens + (begun - self._last) * 1e9)
        self._last = begun
        if self._tokens < 1:
            raise RuntimeError("rate limit")
        self._tokens -= 1
        return begun

    def _response(self, begun: float) -> None:
        self._latencies.append(time.monotonic() - begun)
        if len(self._latencies) > 10_000:
            self._latencies.clear()

    def intercept_unary_unary(self, continuation: Any, details: Any, given: Any) -> Any:
        """A request and a response."""
        begun = self._request(given)
        metadata = [it for it in details.metadata or () if it[0] != "x-tenant"]
        metadata.append(("x-tenant", "default"))
        call = continuation(details._replace(metadata=tuple(metadata)), given)
        call.result()
        self._response(begun)
        return call

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """The same at a server, whose handler has no use for the header."""
        handler = continuation(details)

        def behaviour(given: Any, context: Any) -> Any:
            begun = self._request(given)
            response = handler.unary_unary(given, context)
            self._response(begun)
            return response

        return grpc.unary_unary_rpc_method_handler(behaviour, handler.request_deserializer, handler.response_serializer)


def _cpu_us(interceptor: Any) -> float:
    details = Details(f"/{SERVICE}/UnaryCall", None, None, None, None, None)
    answer = Outcome(response=message(METHODS["UnaryCall"][1])())
    given = request(b"hello")
    intercept: Callable[..., Any] = interceptor.intercept_unary_unary if interceptor else lambda go, it, m: go(it, m)
    before = time.thread_time_ns()
    for _ in range(CALLS):
        intercept(lambda _details, _given: answer, details, given).result()
    return (time.thread_time_ns() - before) / CALLS / 1e3


def _whole(folder: Path, rounds: int) -> dict[str, float]:
    with ExitStack() as stack:
        callers = {}
        for name in ("nothing", "by hand", "four"):
            sides: list[list[Any]] = [[], []]
            if name == "by hand":
                sides = [[ByHand()], [ByHand()]]
            if name == "four":
                files = [(folder / f"four.{side}.chains").read_bytes() for side in ("client", "server")]
                sides = [
                    [ClientInterceptor(end_with(files[0], server=False))],
                    [ServerInterceptor(end_with(files[1], server=True))],
                ]
            caller = BlockingCaller(stack.enter_context(serving(Service(), sides[1])), sides[0])
            stack.callback(caller.close)
            callers[f"a whole RPC, {name}"] = caller
        least = dict.fromkeys(callers, float("inf"))
        for _ in range(rounds):
            for name, caller in callers.items():
                before = time.process_time_ns()
                for _ in range(WHOLE):
                    caller.unary(b"hello")
                least[name] = min(least[name], (time.process_time_ns() - before) / WHOLE / 1e3)
    return least


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        write_chains(Path(folder))
        ways: dict[str, Any] = {"nothing": None, "by hand": ByHand()}
        for name in ("none", "one", "four", "twelve"):
            file = (Path(folder) / f"{name}.client.chains").read_bytes()
            ways[f"library, {name}"] = ClientInterceptor(end_with(file, server=False))
        least = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for name, way in ways.items():
                least[name] = min(least[name], _cpu_us(way))
        whole = _whole(Path(folder), rounds)
    for name, found in (least | whole).items():
        print(f"{name:26} {found:8.2f} us")


if __name__ == "__main__":
    main()
