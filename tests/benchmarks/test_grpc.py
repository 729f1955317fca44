"""What the benchmark of libraries makes of what it measured."""

from __future__ import annotations

from benchmarks import echo
from benchmarks.grpc import ADDED, ALLOCATIONS, INTERCEPTOR, LOOPBACK, echo_rows, rows_of


def test_what_a_way_adds_is_told_relative_to_two_native_sidecars() -> None:
    cpu = {echo.DIRECT: [20.0, 30.0], echo.LIBRARY: [24.0, 38.0], echo.NATIVE: [100.0, 110.0]}
    latency = {way: [1.0, 1.0] for way in cpu}
    rows = echo_rows({echo.CPU: cpu, echo.P50: latency, echo.P99: latency})
    whole = {it.case: it for it in rows if it.metric == echo.CPU}
    assert (whole[echo.LIBRARY].value, whole[echo.LIBRARY].ratio_to) == (31.0, echo.DIRECT)
    added = {it.case: it for it in rows if it.metric == ADDED}
    assert added.keys() == {echo.LIBRARY, echo.NATIVE}
    assert (added[echo.LIBRARY].value, added[echo.LIBRARY].ratio) == (6.0, 0.075)
    assert (added[echo.NATIVE].value, added[echo.NATIVE].ratio) == (80.0, 1.0)


def test_interceptors_and_whole_calls_are_told_relative_to_what_was_written_by_hand() -> None:
    found = rows_of(
        [
            {"way": "nothing", "rounds": [5.0, 5.0], "allocations": 0.0},
            {"way": "twelve by hand", "rounds": [500.0, 500.0], "allocations": 12.0},
            {"way": "twelve", "rounds": [400.0, 400.0], "allocations": 1.0},
            {"way": "four by hand", "rounds": [200.0, 220.0], "allocations": 4.0004},
            {"way": "four", "rounds": [400.0, 440.0], "allocations": 4.01},
            {"way": "nothing", "rounds": [40_000.0], "end_to_end": True},
            {"way": "four by hand on both sides", "rounds": [50_000.0], "end_to_end": True},
            {"way": "four on both sides", "rounds": [52_000.0], "end_to_end": True},
        ]
    )
    rows = {(it.case, it.metric): it for it in found}
    assert rows["four", INTERCEPTOR].ratio == 2.0
    assert (rows["twelve", INTERCEPTOR].ratio, rows["twelve", INTERCEPTOR].ratio_to) == (0.8, "twelve by hand")
    assert rows["nothing", INTERCEPTOR].ratio_to == "four by hand"
    assert len(found) == len(rows)
    assert rows["four", ALLOCATIONS].value == 4
    assert rows["no chain", LOOPBACK].value == 40.0
    assert rows["four on both sides", LOOPBACK].ratio == 1.04
