from __future__ import annotations

import io

import pytest
from rich.console import Console

from appnet.cli.streams import stream_line, stream_table
from appnet.observe import Records, RecordStore, RecordValue
from appnet.observe.shown import value_text


def store(*values: RecordValue) -> RecordStore:
    records = RecordStore()
    for value in values:
        records.add(Records("metrics", "latency", {}, [0], [value]))
    return records


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.000602569, "0.000602569"), ("test", "'test'"), (b"\x00", r"b'\x00'"), ((1, "a"), "(1, 'a')"), (None, "None")],
)
def test_values(value: RecordValue, text: str) -> None:
    assert value_text(value) == text


def test_a_long_value_is_cut() -> None:
    assert len(value_text("x" * 1000)) == 60
    assert value_text("x" * 1000).endswith("…")


def test_a_stream_of_floats_is_summed_up() -> None:
    line = stream_line(store(0.1, 0.2, 0.3).summaries()[0])
    assert line == "metrics.latency: 3 records, latest 0.3, median 0.2, p99 0.3"


def test_the_table_has_a_row_for_each_stream() -> None:
    out = io.StringIO()
    summaries = store("a", "b").summaries()
    Console(file=out, width=120).print(stream_table(summaries, {summaries[0].key: 12.4}))
    assert out.getvalue().splitlines()[1].split() == ["metrics.latency", "2", "12", "'b'"]


def test_what_callers_write_is_no_markup() -> None:
    out = io.StringIO()
    Console(file=out, width=120).print(stream_table(store("[red]a", "[/]").summaries(), {}))
    assert out.getvalue().splitlines()[1].split()[-1] == "'[/]'"


def test_a_long_value_gives_way_to_the_other_columns() -> None:
    out = io.StringIO()
    Console(file=out, width=60).print(stream_table(store("x" * 50).summaries(), {}))
    head, row = out.getvalue().splitlines()
    assert head.split() == ["records", "of", "count", "per", "second", "median", "p99", "latest"]
    assert row.startswith("metrics.latency ")
    assert row.rstrip().endswith("…")
