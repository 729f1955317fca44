"""How answers are read: which version judged, whether two did, when one took over."""

from pathlib import Path

import pytest

from appnet.application.load import load
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from appnet.measure.load import Latency
from benchmarks.cases import SAMPLE
from benchmarks.upgrade import firewall, judge
from tests.support.load import CallOutcome, LoadResult

MS = 1_000_000


def outcome(
    status: int | None, message: str, stamps: tuple[str, str], count: int, start_ms: int, end_ms: int
) -> CallOutcome:
    first, last = start_ms * MS, end_ms * MS
    return CallOutcome(status, message, stamps, b"", count, first, last - MS, first + MS, last)


def result(*outcomes: CallOutcome, overflowed: int = 0) -> LoadResult:
    calls = sum(it.count for it in outcomes) + overflowed
    return LoadResult(calls, 0, 0, overflowed, 1, 1.0, Latency(0, 0, 0, 0, 0, 0), outcomes)


def test_a_version_holds_from_the_last_answer_of_the_one_before() -> None:
    found = judge(
        result(
            outcome(0, "", ("0", "0"), 10, 0, 120),
            outcome(10, "refused by 0", ("", ""), 1, 0, 130),
            outcome(0, "", ("1", "1"), 10, 125, 300),
            outcome(10, "fault_injected", ("", ""), 5, 0, 300),
        ),
        [100 * MS],
    )
    assert (found.calls, found.failed, found.mixed) == (26, 0, 0)
    assert (found.held_ms, found.seen_ms) == ([30.0], [26.0])


def test_an_answer_with_two_stamps_is_a_mixture_of_both() -> None:
    found = judge(result(outcome(0, "", ("0", "1"), 3, 0, 150), outcome(0, "", ("1", "1"), 1, 140, 200)), [100 * MS])
    assert found.mixed == 3
    assert found.held_ms == [50.0]


@pytest.mark.parametrize(
    "broken",
    [
        outcome(None, "RST_STREAM 2", ("", ""), 2, 0, 10),
        outcome(14, "no healthy upstream", ("", ""), 2, 0, 10),
        outcome(0, "", ("0", ""), 2, 0, 10),
        outcome(10, "refused by nobody", ("", ""), 2, 0, 10),
    ],
)
def test_any_other_answer_is_a_failure(broken: CallOutcome) -> None:
    found = judge(result(outcome(0, "", ("0", "0"), 1, 0, 10), outcome(0, "", ("1", "1"), 1, 0, 10), broken), [5 * MS])
    assert found.failed == 2
    assert not found.right


def test_outcomes_too_many_to_tell_apart_count_as_failures() -> None:
    found = judge(result(outcome(0, "", ("0", "1"), 1, 0, 10), overflowed=7), [5 * MS])
    assert found.failed == 7


def test_a_version_that_never_answers_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="only 1 ever answered"):
        judge(result(outcome(0, "", ("1", "1"), 1, 0, 10)), [1 * MS, 2 * MS])


def test_every_version_of_the_firewall_is_an_element_of_its_own(tmp_path: Path) -> None:
    method = load(FileSource(SAMPLE)).chains[0].method
    for version in range(2):
        file = tmp_path / f"{version}.appnet"
        file.write_text(firewall(version))
        assert not compile_element(FileSource(file), method, name="firewall").warnings
    assert firewall(0) != firewall(1)
