"""`appnetctl run` whose plan follows the traffic, on real Envoys and under load."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.quickstart.support import Running, running
from tests.support.guarded import guarded
from tests.support.load import Load, LoadResult, LoadSettings, Request, Upstream
from tests.support.raw_grpc import string_field

pytestmark = pytest.mark.e2e

REFUSED = (7, "refused")
EVERY_SECOND = {"mode": "auto", "interval": "1s", "saving": "20%"}


def load_of(it: Running, **weights: int) -> Load:
    """Calls with these words, as often as their weights say, until it is told to stop."""
    port = int(it.rest_of_line("frontend calls server at 127.0.0.1:"))
    requests = [Request(string_field(1, word.encode()), weight=weight) for word, weight in weights.items()]
    return Load(port, requests, LoadSettings(2, 2, rate=400.0))


def check(found: LoadResult) -> None:
    """No call was lost, and each was judged as the guards have it."""
    assert (found.failed, found.overflowed) == (0, 0)
    assert set(found.by_status()) == {(0, ""), REFUSED}


def test_the_order_follows_who_refuses_most_and_back_again(tmp_path: Path) -> None:
    config = guarded(tmp_path, ("ann", "bob"), EVERY_SECOND)
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        it = stack.enter_context(running(tmp_path, config, f"--upstream=server=127.0.0.1:{upstream.port}"))
        it.wait_for("frontend-sidecar runs ann + bob")
        for number, (words, order) in enumerate(
            (({"ann": 1, "bob": 18, "eve": 1}, "bob, ann"), ({"ann": 18, "bob": 1, "eve": 1}, "ann, bob")), start=1
        ):
            with load_of(it, **words) as load:
                it.wait_for(f"frontend->server echo: client: {order} saves ")
                it.wait_for("frontend-sidecar accepted after", times=number)
                load.stop()
                check(load.result())
        saved = [float(one) for one in re.findall(r" saves ([0-9.]+)% of", it.output)]
        assert len(saved) == 2
        assert all(20 <= one <= 60 for one in saved)
        assert "server-sidecar accepted" not in it.output
        assert it.stop() == 0
