"""One state for each proxy, whatever the number of its worker threads (docs/language.md, "State")."""

from __future__ import annotations

from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.needs import one_state
from appnet.processors.envoy.targets import NATIVE, WASM
from tests.e2e.conftest import ELEMENTS, proxies
from tests.support.load import LoadSettings, Request, Upstream, run_load
from tests.support.raw_grpc import string_field
from tests.support.signatures import ECHO

WORKERS = 4
CALLS = 20_000
QUOTA = 5_000  # of the element: calls in all, of which each of four users has a thousand
PASSING = 4_000


USERS = [Request(string_field(1, f"user {number}".encode())) for number in range(4)]
LOAD = LoadSettings(connections=32, streams=8, count=CALLS)


def test_a_quota_is_one_for_all_workers(tmp_path: Path) -> None:
    with Upstream() as upstream, proxies(NATIVE, tmp_path) as start:
        proxied = start("quota", upstream, workers=WORKERS)
        result = run_load(proxied.port, USERS, LOAD)
        busy = [count for count in proxied.stats("worker_.*downstream_cx_total").values() if count > 0]
        assert upstream.stop().calls == PASSING
    assert len(busy) > 1, "one worker alone would hold any quota"
    outcomes = {(it.status, it.message): it.count for it in result.outcomes}
    over_share, over_quota = (7, "your share is used up"), (8, "used up")
    assert outcomes == {(0, ""): PASSING, over_share: QUOTA - PASSING, over_quota: CALLS - QUOTA}


def test_a_wasm_proxy_gives_up_what_the_note_says(tmp_path: Path) -> None:
    with Upstream() as upstream, proxies(WASM, tmp_path) as start:
        proxied = start("quota", upstream, workers=WORKERS)
        run_load(proxied.port, USERS, LOAD)
        assert upstream.stop().calls > PASSING, "each worker has a quota of its own"
    element = compile_element(TextSource(Path("quota.appnet"), ELEMENTS["quota"]), ECHO).element
    assert [it.name for it in one_state(element)] == ["used", "by_user"]
