"""How `appnetctl` starts: by which names, and how little it loads before it knows the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet import __version__
from appnet.cli import commands
from appnet.cli.main import COMMANDS, app

LOADED = """
import json, sys
from appnet.cli.main import app
try:
    app(sys.argv[1:])
finally:
    print(json.dumps(sorted(sys.modules)))
"""
HEAVY = {
    "aiohttp", "asyncio", "cryptography", "envoy", "google", "grpc", "lark", "lz4", "numpy", "ortools", "pygls", "re2", "rich",
    "wasmtime", "watchfiles", "yaml", "z3", "ziglang",
}  # fmt: skip


def loaded(*typed: str) -> list[str]:
    """The modules that are there when the command line has been answered."""
    run = subprocess.run([sys.executable, "-c", LOADED, *typed], capture_output=True, text=True, check=False)
    return list(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("typed", [[], ["--help"], ["--version"], ["version"]], ids=" ".join)
def test_help_and_version_load_no_other_command(typed: list[str]) -> None:
    modules = loaded(*typed)
    assert HEAVY.isdisjoint(it.partition(".")[0] for it in modules)
    ours = {it for it in modules if it.startswith("appnet")}
    needed = {"appnet.cli.commands", "appnet.cli.commands.version", "appnet.cli.main", "appnet.cli.output"}
    assert ours == {"appnet", "appnet.cli", *needed}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_no_solver_and_no_grpc(name: str) -> None:
    assert {"grpc", "ortools", "z3"}.isdisjoint(it.partition(".")[0] for it in loaded(name, "--help"))


def test_what_is_heavy_is_loaded_by_commands_that_need_it() -> None:
    modules = loaded("explain", "config/samples/echo/sample_echo_sidecar.yaml", "--opt-level", "no")
    assert {"lark", "yaml"} <= {it.partition(".")[0] for it in modules}


@pytest.mark.parametrize("typed", ["--version", "version"])
def test_version(typed: str) -> None:
    answer = CliRunner().invoke(app, [typed])
    assert (answer.exit_code, answer.stdout) == (0, f"appnetctl {__version__}\n")


def test_the_package_runs_as_the_script_does() -> None:
    module, script = (
        subprocess.run([sys.executable, *how, "check", "nothing.yaml"], capture_output=True, text=True, check=False)
        for how in (["-m", "appnet"], ["-c", "from appnet.cli.main import main; main()"])
    )
    assert (module.returncode, module.stdout, module.stderr) == (script.returncode, script.stdout, script.stderr)
    assert module.returncode == 2
    assert "no file nothing.yaml" in module.stderr


def test_each_command_is_listed_on_one_line_and_has_its_module() -> None:
    answer = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"})
    lines = {_words(it) for it in answer.stdout.splitlines()}
    assert [name for name, summary in COMMANDS.items() if f"{name} {summary}" not in lines] == []
    (folder,) = commands.__path__
    modules = {it.stem for it in Path(folder).glob("*.py")} - {"__init__"}
    assert modules == {it.replace("-", "_") for it in COMMANDS}


def _words(line: str) -> str:
    return " ".join(line.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str) -> None:
    answer = CliRunner().invoke(app, [name, "--help"], prog_name="appnetctl")
    assert answer.exit_code == 0
    assert answer.stdout.startswith(f"Usage: appnetctl {name} ")


def test_a_command_that_is_misspelt() -> None:
    answer = CliRunner().invoke(app, ["chekc"])
    assert answer.exit_code == 2
    assert "No such command 'chekc'. Did you mean 'check'?" in answer.stderr


FAILS = """
from appnet.cli.commands import version
from appnet.cli.main import main
version.print_data = None
main()
"""


def test_a_fault_of_our_own_is_one_line_that_says_whom_to_tell() -> None:
    command = [sys.executable, "-c", FAILS, "version", "-o", "json"]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == 1
    assert plain.stderr.startswith("error: AppNet itself failed: TypeError: 'NoneType'")
    assert plain.stderr.count("\n") == 1
    whole = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "APPNET_TRACEBACK": "1"}, check=False
    )
    assert "Traceback" in whole.stderr
