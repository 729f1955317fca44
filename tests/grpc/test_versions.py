"""Upgrades under calls: none is lost, none is judged by two versions, counts are exact, and old versions go."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

from appnet.grpc.client import ClientInterceptor
from appnet.grpc.ends import RunningVersion
from appnet.processors.grpc.versions import signed
from tests.grpc.service import BlockingCaller, Loop, Service, end_with, placed, serving, state, wait_for
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
        from tests.grpc.service import _multi, output_request  # noqa: PLC0415

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
