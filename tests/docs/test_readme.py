"""What the README claims: its element compiles, and its numbers are those that were measured and counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from benchmarks import results
from tests.docs.elements_page import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLES = ROOT / "config" / "samples"


def ratio(benchmark: str, case: str, metric: str = "CPU per RPC") -> str:
    """To the baseline, as tables have it."""
    (found,) = (it.ratio for it in results.load(benchmark)[0] if (it.case, it.metric) == (case, metric))
    return f"{found:.2f}x"


def lines_of_code(files: Iterator[Path] | list[Path], comment: str) -> int:
    """Lines that are neither empty nor a comment."""
    lines = (line.strip() for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith(comment) for line in lines)


def test_the_element_compiles() -> None:
    (program,) = re.findall(r"^```appnet\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    method = load_proto(FileSource(SAMPLES / "hotel" / "hotel.proto")).method("Nearby")
    assert not compile_element(TextSource(Path("quota.appnet"), program), method).warnings


def test_the_table_is_what_was_measured() -> None:
    echo = [SAMPLES / "echo" / f"{it}.appnet" for it in ("fault", "logging", "metrics", "firewall")]
    lua = [ROOT / "benchmarks" / "filters" / "chain.lua"]
    for title, case, lines in (
        ("AppNet, native", "native", lines_of_code(echo, "#")),
        ("AppNet, WebAssembly", "wasm", lines_of_code(echo, "#")),
        ("Envoy's Lua filter", "lua", lines_of_code(lua, "--")),
    ):
        full, steady = (ratio("dataplane", case, it) for it in ("CPU per RPC", "CPU per RPC, steady rate"))
        assert f"| {title} | {full} | {steady} | {lines} |" in README


def test_what_is_said_below_the_table() -> None:
    text = " ".join(README.split())
    native, by_hand = (ratio("chains", it) for it in ("chain4-native", "chain4-by-hand"))
    assert f"{native} at full load, and {by_hand} when written for Envoy by hand" in text
    assert ratio("dataplane", "native-quiet") == ratio("dataplane", "envoy")
    assert f"Envoy's fault and RBAC filters cost {ratio('dataplane', 'envoy')}" in text
    upgrade = {(it.case, it.metric): it.value for it in results.load("upgrade")[0]}
    assert f"{upgrade['native', 'calls']:,.0f} calls natively and {upgrade['wasm', 'calls']:,.0f} on Web" in text
    assert {upgrade[case, it] for case in ("native", "wasm") for it in ("failed", "judged by a mixture")} == {0}
    (pairs, proved, refuted) = re.findall(
        r"Of (\d+) pairs, under strong (\d+) are proved and (\d+) refuted",
        (ROOT / "docs" / "analysis.md").read_text(encoding="utf-8"),
    )[0]
    assert int(pairs) == int(proved) + int(refuted)
    assert f"Of the {pairs} pairs of standard elements, {proved} provably swap; for the other {refuted}" in text
