"""`-` in place of a file."""

from __future__ import annotations

from pathlib import Path

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


FIREWALL = "config/samples/echo/firewall.appnet"


def check(*arguments: str, text: str) -> tuple[int, str, str]:
    answer = CliRunner().invoke(app, ["check", *arguments, "-"], input=text)
    return answer.exit_code, answer.stdout, answer.stderr


def test_check_reads_an_element_and_takes_fields_as_given() -> None:
    assert check(text=NEAT) == (0, "1 file: 0 errors, 0 warnings\n", "")
    code, _, err = check(text=NEAT.replace("Down", "Dwon"))
    assert code == 2
    assert "--> stdin.appnet:8:15" in err


def test_check_reads_what_looks_like_an_application_as_one() -> None:
    code, _, err = check(text="app_nmae: shop\napp_manifest: echo.yaml\n")
    assert code == 2
    assert "unknown key `app_nmae`\n --> stdin.yaml:1:1" in err


def test_check_by_the_name_of_the_file_finds_the_application_near_it() -> None:
    text = Path(FIREWALL).read_text().replace("'Body'", "'Bdoy'")
    assert check(text=text)[0] == 0
    code, _, err = check("--stdin-filename", FIREWALL, text=text)
    assert code == 2
    assert f"error[E014]: echo.Msg has no field `Bdoy`\n --> {FIREWALL}:9:" in err


def test_fmt_tells_the_name_of_the_file() -> None:
    assert fmt("--check", "--stdin-filename", "ugly.appnet", text=UGLY)[2] == "would reformat ugly.appnet\n"
    assert "+++ b/ugly.appnet" in fmt("--diff", "--stdin-filename", "ugly.appnet", text=UGLY)[1]
