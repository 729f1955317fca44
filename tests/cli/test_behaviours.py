"""`appnetctl test` and `trace`: behaviour files as they are tried and followed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from appnet.processors.envoy.targets import TARGETS
from appnet.processors.processor import Target
from tests.cli.test_commands import ECHO, ROOT, appnetctl


def test_behaviour_files_are_tried(tmp_path: Path) -> None:
    elements = ROOT / "config" / "samples" / "elements"
    answer = appnetctl("test", elements / "fault.appnet", elements / "acl.behaviour.yaml")
    assert answer.exit_code == 0, answer.output
    assert "6 cases of 2 files on interpreter, library, native, wasm: 24 passed, 0 failed" in answer.stdout


def test_what_a_target_cannot_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "wasm", Target("wasm", "wasm", gives=frozenset(), alone=frozenset()))
    cache = ROOT / "config" / "samples" / "elements" / "cache.appnet"
    answer = appnetctl("test", cache, "--target", "wasm")
    assert answer.exit_code == 0, answer.output
    assert "(wasm) skipped: `cache` replies, which is not supported on wasm" in " ".join(answer.stdout.split())
    assert ": 0 passed, 0 failed, " in answer.stdout
    tried = json.loads(appnetctl("test", cache, "--target", "wasm", "-o", "json").stdout)
    assert tried
    assert all(it["skipped"] for it in tried)


def test_a_behaviour_that_fails_says_where(tmp_path: Path) -> None:
    text = (ROOT / "config" / "samples" / "elements" / "fault.behaviour.yaml").read_text()
    (tmp_path / "fault.behaviour.yaml").write_text(
        text.replace("../echo", str(ECHO)).replace("draw: 0.49", "draw: 0.5")
    )
    (tmp_path / "fault.appnet").write_text((ROOT / "config" / "samples" / "elements" / "fault.appnet").read_text())
    answer = appnetctl("test", tmp_path, "--target", "wasm")
    assert answer.exit_code == 1
    assert "fault.behaviour.yaml:8: a draw below the share is refused (wasm)" in answer.stdout
    assert "expected  refuses: UNAVAILABLE fault injected\n    got       forwards: {}" in answer.stdout
    answer = appnetctl("test", tmp_path, "-o", "json", "--target", "native")
    assert answer.exit_code == 1
    lines = json.loads(answer.stdout)
    assert [bool(it["failures"]) for it in lines] == [True, False, False, False]
    (failure,) = lines[0]["failures"]
    assert failure["line"] == 8
    assert failure["expected"] == {"refuses": {"status": "UNAVAILABLE", "message": "fault injected"}}
    assert failure["got"] == {"forwards": {}}


def test_a_path_without_behaviour_files_is_told(tmp_path: Path) -> None:
    answer = appnetctl("test", tmp_path)
    assert answer.exit_code == 2
    assert "error[C070]: no behaviour file for" in answer.stderr
    answer = appnetctl("test", tmp_path, "--target", "paper")
    assert answer.exit_code == 2


BREAKER = ROOT / "config" / "samples" / "elements" / "circuit_breaker.appnet"

TRACED = """\
  1  request: {Body: "a"}
       circuit_breaker.open
         1a  (in_row < failures)  =>  forward
       circuit_breaker.req
         always  =>  forward
     forwards: {}
  2  response: {}, status: UNAVAILABLE
       circuit_breaker.resp
         always  =>  forward
       circuit_breaker.end
         1c  otherwise  =>  in_row = (in_row + 1); opened = current_time()
         in_row: 0 -> 1
         opened: -1000 -> 0
     forwards: {}
"""


def test_trace_shows_rows_and_state() -> None:
    answer = appnetctl("trace", BREAKER, "--case", "it opens after two failures")
    assert answer.exit_code == 0
    assert TRACED in answer.stdout
    assert answer.stdout.count("circuit_breaker.behaviour.yaml: ") == 1


def test_trace_as_json() -> None:
    answer = appnetctl("trace", BREAKER, "--case", "it opens after two failures", "-o", "json")
    events = json.loads(answer.stdout)
    assert events[1]["handlers"][1]["state"]["in_row"] == {"before": 0, "after": 1}
    assert events[1]["event"] == {"call": events[0]["event"]["call"], "response": {}, "status": "UNAVAILABLE"}
    assert events[0]["outcome"] == {"forwards": {}}
    assert [it["number"] for it in events[0]["handlers"][0]["rows"]] == ["1a"]


def test_trace_of_no_case() -> None:
    answer = appnetctl("trace", BREAKER, "--case", "nothing")
    assert answer.exit_code == 2
    assert "no case has 'nothing' in its name" in answer.stderr


def test_trace_tells_calls_without_a_name_by_their_lines() -> None:
    answer = appnetctl("trace", BREAKER, "--case", "callers that leave count neither way")
    assert re.search(r"^  4  end of the call of line \d+$", answer.stdout, re.MULTILINE)
