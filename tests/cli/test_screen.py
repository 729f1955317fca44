from __future__ import annotations

import io
import re

from rich.console import Console

from appnet.cli.screen import Steps


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
