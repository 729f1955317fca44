"""The stores that are compared answer the same."""

import pytest

from benchmarks import store


def test_the_stores_take_turns_and_answer_alike() -> None:
    pytest.importorskip("duckdb", reason="pip install 'appnet[dev]' brings it")
    rows = store.run(1, 5_000, lambda _: None)
    assert {(it.case, it.metric) for it in rows} == {
        (case, title) for case in store.TITLES for title, _ in store.METRICS.values()
    }
    assert all(it.value > 0 for it in rows)
    assert {it.ratio for it in rows if it.case == "chunks"} == {1.0}
