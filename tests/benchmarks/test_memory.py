"""What `benchmarks.memory` says of a curve, and that it does not take calls with one key for calls with many."""

import asyncio
import os

import pytest

from benchmarks.memory import GROWTH, check_keys, resident_bytes, rows, run
from tests.support.load import LoadSettings, Request, Upstream, run_load


def test_growth_is_that_of_the_last_half() -> None:
    filling = [100.0 + min(step, 10) for step in range(101)]
    leaking = [100.0 + step for step in range(101)]
    found = {(it.case, it.metric): it.value for it in rows({"native": filling, "wasm": leaking}, 2_000_000)}
    assert found["native", "at 1%"] == 101.0
    assert found["native", "at 100%"] == 110.0
    assert found["native", GROWTH] == 0.0
    assert found["wasm", GROWTH] == 51_200.0  # 50 MiB in a million calls


def test_resident_memory_is_what_the_kernel_says() -> None:
    assert resident_bytes(os.getpid()) > 10 << 20


def test_calls_with_one_key_are_noticed() -> None:
    with Upstream(echo_headers=["session"]) as upstream:
        calls = [Request(b"", metadata=(("session", "one"),))]
        result = run_load(upstream.port, calls, LoadSettings(count=50, capture=("session",)))
    check_keys("router", result)
    with pytest.raises(RuntimeError, match="50 calls had 1 keys"):
        check_keys("native", result)


@pytest.mark.e2e
def test_memory_is_measured_on_real_envoys() -> None:
    found = asyncio.run(run(10_000, lambda _: None))
    assert {name: len(values) for name, values in found.items()} == {"router": 101, "native": 101, "wasm": 101}
    assert all(10 < value < 1000 for values in found.values() for value in values)
