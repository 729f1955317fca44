"""Wrong invocations, each with all that is told of it: a place, the cause, a remedy, and the exit code.

The files in `wrong/` have the command lines, and below each its answer. `pytest --update-snapshots` runs them, and
writes their answers anew.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app
from tests.quickstart.support import APPNETCTL
from tests.support import snapshots

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
WRONG = Path(__file__).parent / "wrong"
MOST_MEMORY = 1 << 30
PATIENCE_SECONDS = 60
BOMB = "\n".join(
    ["a: &a [x, x]", *(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))]
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A copy of the sample, entered, so that paths are short; beside it files that are none, or nobody wrote."""
    shutil.copytree(ECHO, tmp_path / "echo")
    monkeypatch.chdir(tmp_path / "echo")
    monkeypatch.setenv("COLUMNS", "80")
    for it in ("empty", "notes"):
        Path(it).mkdir()
    Path("notes", "mine.txt").write_text("mine")
    Path("bytes.json").write_bytes(b"\xff")
    Path("latin.appnet").write_bytes("# für alle\n".encode("latin-1"))
    Path("nul.appnet").write_bytes(b"state:\n    pass\0\n")
    Path("bomb.yaml").write_text(BOMB + "\n")
    Path("deep.yaml").write_text("app_name: " + "[" * 100_000 + "\n")
    shutil.copy("sample_echo_sidecar.behaviour.yaml", "nearly.behavior.yaml")
    Path("loop.appnet").symlink_to("loop.appnet")
    for it in ("zero.appnet", "zero.yaml", "zero.proto", "zero.json", "zero.behaviour.yaml"):
        Path(it).symlink_to("/dev/zero")
    for it in ("fifo.appnet", "fifo.yaml", "fifo.behaviour.yaml"):
        os.mkfifo(it)
    for it in ("huge.appnet", "huge.json"):
        with Path(it).open("wb") as file:
            file.truncate(1 << 40)  # without taking any room
    yield
    for it in ("huge.appnet", "huge.json"):
        Path(it).unlink()


def commands(name: str) -> list[str]:
    lines = (WRONG / f"{name}.txt").read_text().splitlines()
    return [line.removeprefix("$ appnetctl ") for line in lines if line.startswith("$ appnetctl ")]


def compare(name: str, told: list[tuple[str, str, int]], request: pytest.FixtureRequest) -> None:
    text = "\n".join(f"$ appnetctl {line}\n{output}[exit code {code}]\n" for line, output, code in told)
    snapshots.compare(text, WRONG / f"{name}.txt", request)


@pytest.mark.parametrize("name", ["commands", "files"])
@pytest.mark.usefixtures("folder")
def test_what_is_told_of(name: str, request: pytest.FixtureRequest) -> None:
    told = []
    for line in commands(name):
        answer = CliRunner().invoke(app, line.split(), prog_name="appnetctl")
        assert isinstance(answer.exception, SystemExit), line
        told.append((line, answer.stdout + answer.stderr, answer.exit_code))
    compare(name, told, request)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


@pytest.mark.usefixtures("folder")
def test_what_is_told_of_devices_and_of_what_has_no_end(request: pytest.FixtureRequest) -> None:
    told = []
    for line in commands("devices"):
        run = subprocess.run(
            ["sh", "-c", f'exec "$@" {" ".join(line.split())}', "sh", *APPNETCTL],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=_limit_memory,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert "Traceback" not in run.stdout, f"{line}\n{run.stdout}"
        told.append((line, run.stdout.replace("python -m appnet", "appnetctl"), run.returncode))
    compare("devices", told, request)


@pytest.mark.parametrize("name", ["commands", "files", "devices"])
def test_each_answer_has_an_exit_code_a_cause_and_a_remedy(name: str) -> None:
    answers = (WRONG / f"{name}.txt").read_text().split("$ appnetctl ")[1:]
    assert answers
    for it in answers:
        assert re.search(r"\[exit code [12]\]\n*$", it), it
        assert re.search(r"^(error\[\w+\]|Error|error): .", it, re.MULTILINE), it
        for one in re.split(r"^error\[", it, flags=re.MULTILINE)[1:]:
            assert re.search(r"^ *--> \S.*:\d+:\d+$", one, re.MULTILINE), it
            assert "= help: " in one, it
