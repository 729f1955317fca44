"""The help of all commands: whole on a narrow terminal, with examples that can be typed, and where more is said."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from appnet.cli.main import COMMANDS, GROUPS, app, load_command

DOCS = Path(__file__).parents[2] / "docs"
PRINT_NO_DATA = {
    "init",
    "fmt",
    "run",
    "serve",
    "controller",
    "loader",
    "bootstrap",
    "listener",
    "convert",
    "completion",
    "lsp",
}
"""They write files, serve, or print what is a file of its own kind."""

WRITE = {"compile": "--write", "convert": "--write", "element": "--write", "reflect": "--write"}
LETTERS = {
    "-o": "--output", "-w": "--write", "-v": "--verbose", "-h": "--help", "-b": "--backend", "-s": "--spec",
    "-I": "--proto-root", "-n": "--namespace", "-A": "--all-namespaces",
}  # fmt: skip


def help_of(*command: str) -> str:
    answer = CliRunner().invoke(app, [*command, "--help"], prog_name="appnetctl", env={"COLUMNS": "80"})
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def options(name: str) -> list[Any]:
    return [it for it in load_command(name).params if it.param_type_name == "option"]


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns_and_nothing_is_cut(name: str) -> None:
    text = help_of(*name.split())
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert "..." not in re.sub(r"\w+\.\.\.( |\n)|\}\.\.\.|\]\.\.\.", "", text), "but for arguments that may be repeated"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_each_option_with_what_it_means(name: str) -> None:
    text = help_of(name)
    for it in options(name):
        assert all(word in text for word in it.opts)
        assert it.help, it.opts
        assert " ".join(it.help.split()) in " ".join(text.split())


def test_commands_are_in_groups() -> None:
    text = help_of()
    assert [title for title in GROUPS if f"\n{title}:\n" not in text] == []
    assert len(COMMANDS) == sum(map(len, GROUPS.values())), "each in one"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_can_be_typed_and_a_page(name: str) -> None:
    examples, _, more = help_of(name).partition("\nExamples:\n")[2].partition("\nMore: ")
    assert more.startswith("https://")
    assert (DOCS / more.strip().rpartition("/")[2]).is_file()
    lines = [line.strip() for line in examples.splitlines()]
    assert lines
    for line in lines:
        if not line.startswith("python "):
            typed = re.sub(r"source <\((.*)\)", r"\1", line.rpartition(" | ")[2])
            program, command, *arguments = shlex.split(typed.partition(" < ")[0].partition(" > ")[0], comments=True)
            assert (program, command) == ("appnetctl", name)
            load_command(name).make_context(name, arguments)  # raises for what cannot be typed


@pytest.mark.parametrize("name", COMMANDS)
def test_options_have_the_same_names_everywhere(name: str) -> None:
    named = {long: it for it in options(name) for long in it.opts if long.startswith("--")}
    letters = {short: it.opts for it in options(name) for short in it.opts if not short.startswith("--")}
    assert {short: LETTERS[short] in opts for short, opts in letters.items()} == dict.fromkeys(letters, True)
    assert ("--output" in named) == (name not in PRINT_NO_DATA)
    if "--output" in named:
        assert "<text|json|yaml>" in help_of(name)
    assert ("--write" in named) == (name in WRITE)
    assert not {"--json", "--yaml", "--format", "--target-name"} & set(named)
