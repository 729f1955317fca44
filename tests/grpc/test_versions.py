"""Upgrades under calls: none is lost, none is judged by two versions, counts are exact, and old versions go."""

from __future__ import annotations

import gc
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from appnet.grpc.client import ClientInterceptor
from appnet.grpc.ends import RunningVersion
from appnet.grpc.records import METRICS
from appnet.observe.points import IN_FLIGHT, Point, decode_metrics
from appnet.processors.grpc.versions import signed
from tests.grpc.service import (
    BlockingCaller,
    Loop,
    Service,
    _multi,
    end_with,
    output_request,
    placed,
    serving,
    state,
    wait_for,
)
from tests.grpc.test_calls import file
from tests.processors.grpc.chains import KEY, read_chains

UPGRADES = int(os.environ.get("APPNET_UPGRADES", "100"))


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("memfd:appnet")


def test_upgrades_under_calls(chains: Path) -> None:
    parts = [read_chains(file(chains, name, "client")) for name in ("counts-a", "counts-b")]
    for it in parts:
        it.chains[0].name += ".upgrades"
    end = end_with(signed(parts[0], KEY).SerializeToString(), server=False)
    end.use(RunningVersion(parts[:1]))
    gc.collect()
    before = mappings()
    made, wrong, stop = [0] * 4, list[object](), threading.Event()
    service = Service()
    with serving(service) as target:

        def call(index: int) -> None:
            caller = BlockingCaller(target, [ClientInterceptor(end)])
            while not stop.is_set():
                found = caller.unary(b"hello")
                made[index] += 1
                if found.bodies != [b"hello"]:
                    wrong.append(found)
                # Only version b says of responses which it is.
                if found.header.get("x-version") not in {None, "b"}:
                    wrong.append(found)
            caller.close()

        threads = [threading.Thread(target=call, args=(index,)) for index in range(4)]
        for it in threads:
            it.start()
        for number in range(UPGRADES):
            end.use(RunningVersion([parts[(number + 1) % 2]]))
            time.sleep(0.005)
        stop.set()
        for it in threads:
            it.join()
    assert not wrong
    assert f"counts.count = {sum(made)}\n" in state(end)
    assert f'"all": {sum(made)}' in state(end) or f"{sum(made)}" in state(end)
    wait_for(lambda: gc.collect() >= 0 and mappings() <= before + 4, lambda: f"{before} then {mappings()}")


def test_a_call_ends_on_the_version_that_it_began_with(chains: Path, loop: Loop) -> None:
    with placed("client", loop, file(chains, "streams", "client")) as place:
        there = threading.Event()

        def requests():
            yield output_request(b"hello")
            there.wait(20)
            yield output_request(b"change")

        call = _multi(place.caller.channel, "FullDuplexCall")(requests())
        assert next(call).payload.body == b"hello"
        old = place.end.current
        place.end.use(RunningVersion([read_chains(file(chains, "none", "client"))]))
        there.set()
        assert [it.payload.body for it in call] == [b"changed"]
        assert old is not None
        assert "duplex.ends = 1\n" in old.chains[0].instance.state()
        assert place.caller.duplex([b"change"]).bodies == [b"change"]


class Receiver:
    """Takes telemetry, and notes what instances have counted."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        receiver = self

        class Posts(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.points += decode_metrics(body) if self.path == METRICS else []
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Posts)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def in_flight(self) -> list[int]:
        """How many calls were, each time that it was told."""
        return [int(it.value) for it in self.points if it.name == IN_FLIGHT]


def test_a_call_that_ends_after_the_upgrade_is_told_of(chains: Path, loop: Loop) -> None:
    with placed("client", loop, file(chains, "streams", "client")) as place:
        receiver, there = Receiver(), threading.Event()
        part = read_chains(file(chains, "streams", "client"))
        part.records = receiver.address
        place.end.use(RunningVersion([part]))

        def requests():
            yield output_request(b"hello")
            there.wait(20)

        call = _multi(place.caller.channel, "FullDuplexCall")(requests())
        assert next(call).payload.body == b"hello"
        place.end.use(RunningVersion([read_chains(file(chains, "none", "client"))]))
        assert not receiver.points, "who brings a version does not wait for the receiver"
        wait_for(lambda: not place.end.flush() and bool(receiver.points), lambda: "nothing was told")
        there.set()
        assert list(call) == []
        del call
        wait_for(
            lambda: gc.collect() >= 0 and not place.end.flush() and 0 in receiver.in_flight(), receiver.points.__repr__
        )
        assert set(receiver.in_flight()) == {0, 1}
        told = len(receiver.points)
        place.end.flush()
        assert len(receiver.points) == told, "it has ended"
