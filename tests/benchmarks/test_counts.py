"""What processors counted is held against what the load generator saw, and a difference is only forgiven for a reason."""

from __future__ import annotations

import pytest

from appnet.measure.load import CallOutcome, Latency, LoadResult
from appnet.observe.points import CALLS, EVICTIONS, MESSAGE_BYTES, ROW_HITS, STARTS
from benchmarks.dataplane import message
from benchmarks.journey import KEPT, PASSES, STOPS
from benchmarks.tally import SIZE, Seen, StrangeOutcomeError, Untold, expected, lines
from tests.support.raw_grpc import frame

GATE, WALL, WARD, DESK = STOPS
CUT = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
AWAY = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"


def result(*outcomes: tuple[int | None, str, bytes, int]) -> LoadResult:
    made = (CallOutcome(status, text, (), body, count, 0, 0, 1, 1) for status, text, body, count in outcomes)
    calls = sum(count for *_, count in outcomes)
    return LoadResult(calls, 0, 0, 0, 1, 1.0, Latency(0, 0, 0, 0, 0, 0), tuple(made))


ENDED = (
    (0, "", frame(message("You've hit server")), 100),
    (7, "gate", b"", 8),
    (0, "", frame(message("wall")), 5),
    (7, "ward", b"", 3),
    (0, "", frame(message("desk")), 2),
)


def test_all_kinds_of_calls_are_of_one_length() -> None:
    assert {len(message(it)) for stop in STOPS for it in (stop.refused, stop.answered, PASSES)} == {SIZE}


def test_a_call_ends_where_it_is_refused_or_answered() -> None:
    seen = Seen.of(result(*ENDED), None)
    assert [seen.reached(it) for it in STOPS] == [118, 110, 105, 102]
    assert [seen.perhaps(it) for it in STOPS] == [0, 0, 0, 0]
    wanted = expected(seen, WARD, begun=2, lives=1)
    assert (wanted[CALLS], wanted[STARTS], wanted[f"{EVICTIONS} ward"]) == (105, 2, 105 - KEPT)
    assert [wanted[f"{ROW_HITS} ward req {row}"] for row in ("1a", "1b", "1d")] == [3, 0, 102]


def test_what_a_kill_cuts_reached_those_before_it_and_perhaps_those_behind() -> None:
    seen = Seen.of(result(*ENDED, (14, AWAY, b"", 1_000), (14, CUT, b"", 30)), WARD)
    assert [seen.reached(it) for it in STOPS] == [1_148, 1_140, 105, 102]
    assert [seen.perhaps(it) for it in STOPS] == [0, 0, 30, 30]


def test_without_a_kill_no_call_may_be_cut() -> None:
    with pytest.raises(StrangeOutcomeError, match="30 calls ended with 14"):
        Seen.of(result(*ENDED, (14, CUT, b"", 30)), None)
    with pytest.raises(StrangeOutcomeError, match="1 calls ended with 13"):
        Seen.of(result(*ENDED, (13, "", b"", 1)), WARD)


def test_differences_are_wrong_unless_a_kill_explains_them() -> None:
    seen = Seen.of(result(*ENDED, (None, "connection closed", b"", 4)), GATE)
    wanted = expected(seen, GATE, begun=1, lives=0)
    found = {**wanted, CALLS: 118 - 20, f"{MESSAGE_BYTES} request": 98 * SIZE}

    def wrong(counts: dict[str, int], lost: int) -> list[str]:
        return [it.counter for it in lines(seen, GATE, counts, wanted, Untold(lost)) if not it.right]

    assert wrong(found, 20) == []
    assert wrong(found, 19) == [CALLS, f"{MESSAGE_BYTES} request"]
    assert wrong({**wanted, CALLS: 118 + 4}, 0) == []
    assert wrong({**wanted, CALLS: 118 + 5}, 20) == [CALLS]
    assert wrong({**wanted, STARTS: 2}, 20) == [STARTS]
    assert wrong({**wanted, "appnet.records.dropped gate log": 5}, 0) == ["appnet.records.dropped gate log"]
