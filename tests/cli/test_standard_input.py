"""`-` in place of a file."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app

UGLY = "state:\n  pass\ninit():\n  pass\nreq(rpc):\n  send( rpc,Down )\nresp(rpc):\n  send(rpc, Up)\n"
NEAT = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"


def fmt(*arguments: str, text: str | bytes) -> tuple[int, str, str]:
    answer = CliRunner().invoke(app, ["fmt", *arguments, "-"], input=text)
    return answer.exit_code, answer.stdout, answer.stderr


def test_fmt_writes_what_it_is_given_to_standard_output() -> None:
    assert fmt(text=UGLY) == (0, NEAT, "")
    assert fmt(text=NEAT) == (0, NEAT, "")


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_fmt_says_whether_standard_input_would_change(option: str) -> None:
    code, _, err = fmt(option, text=UGLY)
    assert (code, err) == (1, "would reformat standard input\n")
    assert fmt(option, text=NEAT)[0] == 0


def test_what_is_no_program_or_no_text() -> None:
    code, out, err = fmt(text="state\n")
    assert (code, out) == (2, "")
    assert "--> standard input:1:6" in err
    code, out, err = fmt(text=b"\xff")
    assert (code, out) == (2, "")
    assert "standard input is not UTF-8 text" in err


def test_help_has_a_short_name() -> None:
    assert CliRunner().invoke(app, ["fmt", "-h"]).stdout.startswith("Usage: ")
