import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import compile as compile_benchmark
from benchmarks import docs, report, results
from benchmarks.cases import all_cases
from benchmarks.dataplane import WrongOutcomeError, check_outcomes, requests
from tests.support.load import LoadSettings, Upstream, run_load


def test_a_ratio_is_the_median_of_ratios_within_a_round() -> None:
    # The second round was twice as slow for all: medians of values alone would say 25 / 20.
    samples = {"base": [10.0, 20.0, 40.0], "slow": [11.0, 24.0, 44.0]}
    base, slow = results.summarize(samples, "cost", "us", "base")
    assert (base.value, base.ratio, base.ratio_low, base.ratio_high) == (20.0, 1.0, 1.0, 1.0)
    assert (slow.case, slow.value, slow.ratio, slow.ratio_to) == ("slow", 24.0, 1.1, "base")
    assert slow.ratio_low == 1.1
    assert slow.ratio_high == 1.15


def test_one_round_has_no_spread() -> None:
    (row,) = results.summarize({"base": [3.0]}, "cost", "us", "base")
    assert (row.value, row.ratio, row.ratio_low, row.ratio_high) == (3.0, 1.0, 1.0, 1.0)


def test_rounds_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        results.summarize({"base": [1.0, 2.0], "other": [1.0]}, "cost", "us", "base")


def test_what_is_saved_is_what_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    rows = results.summarize({"base": [1.0], "other": [2.0]}, "cost", "us", "base")
    file = results.save("trial", rows, {"rounds": 1}, record=True)
    loaded, context = results.load("trial")
    assert loaded == rows
    assert context["rounds"] == 1
    assert json.loads(file.read_text())[1]["ratio"] == 2.0


def test_the_table_has_every_case_and_metric_in_order() -> None:
    rows = [
        *results.summarize({"base": [10.0], "other": [12.5]}, "cost", "us", "base"),
        *results.summarize({"base": [2000.0], "other": [1000.0]}, "speed", "RPC/s", "base"),
    ]
    assert report.markdown(rows, {"base": "the base"}) == (
        "| case | cost | speed |\n"
        "|---|---:|---:|\n"
        "| the base | 10 µs | 2,000 RPC/s |\n"
        "| other | 12.5 µs · 1.25x (1.25–1.25) | 1,000 RPC/s · 0.50x (0.50–0.50) |\n"
    )


def test_the_plot_names_every_case(tmp_path: Path) -> None:
    rows = results.summarize({"base": [10.0, 11.0], "other": [12.5, 14.0]}, "cost", "us", "base")
    report.plot(rows, {"base": "the base", "other": "the other"}, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert "the base" in drawn
    assert "the other" in drawn
    assert "the base: 1.00x; the other: 1.26x." in drawn
    assert "prefers-color-scheme:dark" in drawn


@pytest.mark.parametrize("file", sorted(results.RESULTS.glob("*.svg")), ids=lambda it: it.stem)
def test_every_colour_of_a_plot_has_one_for_dark_pages(file: Path) -> None:
    root = ElementTree.fromstring(file.read_text())
    styles = [it.get("style", "") for it in root.iter()]
    assert {it for style in styles for it in re.findall("#[0-9a-f]{6}", style)} <= set(report.NIGHT)
    assert all(root.findtext(f"{{http://www.w3.org/2000/svg}}{it}") for it in ("title", "desc"))


def test_a_proxy_that_does_not_do_its_work_is_not_measured() -> None:
    baseline, native, *_ = all_cases()
    with Upstream() as upstream:
        result = run_load(upstream.port, requests(), LoadSettings(count=2_000))
    check_outcomes(baseline, result)
    with pytest.raises(WrongOutcomeError, match="of 1%"):
        check_outcomes(native, result)


def test_the_document_shows_the_last_results() -> None:
    text = docs.DOCUMENT.read_text()
    assert docs.updated(text) == text, "run `python -m benchmarks.docs`"
    assert set(docs.shown(text)) == {
        it.stem for it in results.RESULTS.glob("*.json") if not it.stem.endswith("-context")
    }


@pytest.mark.parametrize("record", [False, True])
def test_a_run_leaves_what_is_recorded_alone_unless_told(
    record: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RESULTS", "RUNS"):
        monkeypatch.setattr(results, name, tmp_path / name)
    monkeypatch.setattr(
        compile_benchmark, "decide_pairs", lambda *_: None
    )  # all of them take minutes where none is known
    arguments = ["compile", "--rounds", "1", "--edges", "1", *(["--record"] if record else [])]
    monkeypatch.setattr(sys, "argv", arguments)
    compile_benchmark.main()
    written = {it.relative_to(tmp_path).as_posix() for it in tmp_path.rglob("*") if it.is_file()}
    folder = "RESULTS" if record else "RUNS"
    assert written == {f"{folder}/{it}" for it in ("compile.json", "compile-context.json", "compile.svg")}


def test_what_anybody_measures_is_not_in_the_repository() -> None:
    ignored = Path(".gitignore").read_text().splitlines()
    assert f"/{results.RUNS.relative_to(Path.cwd())}/" in ignored


@pytest.mark.parametrize(
    ("arguments", "expected"), [((), ["compile"]), (("RECORD=1",), ["compile --record", "docs"])], ids=["run", "record"]
)
def test_make_records_and_shows_what_it_is_told_to(arguments: tuple[str, ...], expected: list[str]) -> None:
    command = ["make", "-n", "bench-compile", *arguments]
    outside = {name: it for name, it in os.environ.items() if name not in ("ARGS", "RECORD")}  # of the tests' own make
    told = subprocess.run(command, env=outside, capture_output=True, text=True, check=True).stdout
    assert [it.strip() for it in re.findall(r"-m benchmarks\.([^\n]*)", told)] == expected
