from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from appnet.cli.errors import open_screens
from appnet.cli.screen import Steps, show_diagnostics
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.source import FileSource


def test_steps_are_plain_lines_where_no_terminal_is() -> None:
    out = io.StringIO()
    steps = Steps(Console(file=out))
    steps.begin("compiling [native]")
    steps.begin("starting")
    steps.end()
    assert out.getvalue() == "compiling [native] …\nstarting …\n"


def test_steps_leave_their_time_on_a_terminal() -> None:
    out = io.StringIO()
    steps = Steps(Console(file=out, force_terminal=True, width=80))
    steps.begin("compiling")
    steps.end()
    steps.begin("starting")
    steps.abandon()
    plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", out.getvalue())
    assert "✓ compiling (0.0 s)\n" in plain
    assert out.getvalue().count("✓") == 1


WRONG = Diagnostic(
    *("E012", Severity.ERROR, "[bold]`x` is declared twice :smile:"),
    *(Span(FileSource(Path("it.appnet")), 2, 5, 2, 6), "again", "leave one out"),
    (Label(Span(FileSource(Path("it.appnet")), 1, 5, 1, 6), "first"),),
)


def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **variables: str) -> str:
    """What `show_diagnostics` writes where no terminal is, with these environment variables."""
    monkeypatch.chdir(tmp_path)
    Path("it.appnet").write_text("    x: int\n    x: int\n")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    show_diagnostics(open_screens().err, [WRONG])
    return out.getvalue()


def test_a_pipe_has_no_colours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert shown(monkeypatch, tmp_path) == WRONG.render() + "\n\n"


@pytest.mark.parametrize("others", [{}, {"FORCE_COLOR": "1"}])
def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: dict[str, str]) -> None:
    assert shown(monkeypatch, tmp_path, NO_COLOR="1", **others) == WRONG.render() + "\n\n"


def test_colours_are_all_that_they_add(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    coloured = shown(monkeypatch, tmp_path, FORCE_COLOR="1", TERM="xterm-256color")
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == WRONG.render() + "\n\n"
    assert re.search(r"\x1b\[[\d;]*31merror\[E012\]\x1b\[0m", coloured)  # red
    assert re.search(r"\x1b\[[\d;]*31m\^ again\x1b\[0m|\x1b\[[\d;]*31m\^\x1b\[0m", coloured)
    assert re.search(r"\x1b\[[\d;]*34m-\x1b\[0m", coloured)  # blue
    assert re.search(r"\x1b\[[\d;]*36mhelp\x1b\[0m", coloured)  # cyan
