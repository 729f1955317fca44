"""What commands show on a terminal of 80 columns and 24 lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quickstart.support import APPNETCTL, gone, sample
from tests.support.terminal import LINES, Terminal, on_a_terminal

pytestmark = pytest.mark.e2e

SAMPLES = Path(__file__).parents[2] / "config" / "samples"
TABLE = ["logging.record_req", "logging.record_resp", "metrics.latency"]


def streams(it: Terminal) -> list[str]:
    """The names in the table of records, which stands at the end."""
    lines = it.lines
    head = max(number for number, line in enumerate(lines) if line.startswith("records of "))
    assert lines[head - 1] == ""
    return [line.split()[0] for line in lines[head + 1 :]]


def test_quickstart_and_a_broken_edit(tmp_path: Path) -> None:
    config = sample(tmp_path)
    fault = config.with_name("fault.appnet")
    fault.write_text(fault.read_text().replace("0.99", "2.0"))  # it would call again
    with on_a_terminal([*APPNETCTL, "run", config.relative_to(tmp_path)], tmp_path, "make quickstart") as it:
        it.wait_for("metrics.latency")
        it.settle(1)
        assert it.lines[0] == "$ make quickstart"
        assert len(it.lines) <= LINES
        assert (it.scrolled, it.wrapped) == (0, [])
        assert "  expected CPU per RPC: 23.6 µs (24.8 µs before optimisation)" in it.lines
        assert "Echo server returns an error." in it.lines
        assert streams(it) == TABLE

        firewall = config.with_name("firewall.appnet")
        working = firewall.read_text()
        firewall.write_text(working.replace("get(acl,", "gte(acl,"))
        it.wait_for(" keeps running")
        it.settle(1)
        begin = it.lines.index("error[E013]: there is no function `gte`")
        assert it.lines[begin + 6] == "  = help: did you mean `get`?"
        assert it.lines[begin + 8].startswith("firewall.appnet: rejected; version ")
        assert streams(it) == TABLE

        firewall.write_text(working.replace("'test'", "'evil'"))
        it.wait_for("server-sidecar accepted after ")
        it.settle(1)
        assert streams(it) == TABLE
        assert it.wrapped == []
        it.type("\x03")
        assert it.wait() == 0
        assert it.lines[-1] == "stopped"
    assert gone(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["echo/sample_echo_sidecar.yaml"],
        ["hotel/sample_hotel_sidecar.yaml"],
        ["cookbook/protect.yaml", "--opt-level", "weak"],
    ],
    ids=lambda it: it[0],
)
def test_explain_begins_with_what_fits(arguments: list[str]) -> None:
    with on_a_terminal([*APPNETCTL, "explain", *arguments], SAMPLES) as it:
        assert it.wait() == 0
        assert len(it.lines) < LINES
        assert (it.scrolled, it.wrapped) == (0, [])


def test_long_lines_break_between_words(tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text(f"elements: {{{'an_element_with_a_long_name'}: {{refused: 0.1}}}}\n")
    explain = ["explain", SAMPLES / "cookbook" / "protect.yaml", "--profile", "profile.yaml"]
    with on_a_terminal([*APPNETCTL, *explain], tmp_path) as it:
        assert it.wait() == 2
    assert it.wrapped == []
    assert it.lines[0].startswith("error[C081]: ")
    assert any(line.startswith(" " * 10) for line in it.lines[5:]), it.lines
