"""The tutorial, followed to the letter: its files written, its commands typed, its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_HERE = ("make ", "export ")  # the one is another test's, the other is this one's environment


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Each file with its content, and each command ("$ …") with what it prints, in order."""
    for kind, file, content in _BLOCK.findall(text):
        if file:
            yield file, content
        elif kind == "console":
            for typed in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
                command, _, output = typed.partition("\n")
                yield f"$ {command}", output


def matches(expected: str, got: str) -> bool:
    """Whether the output is as shown; a line ``…`` stands for any lines, within a line for anything in it."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else f"{re.escape(line).replace('…', '.*')}\\n" for line in expected.splitlines()
    ]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in got.rstrip().splitlines())) is not None


def run(command: str, folder: Path) -> str:
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "appnetctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m appnet "$@"\n')
    program.chmod(0o755)
    run("appnetctl init config/samples --sample cookbook", tmp_path)
    commands = 0
    for step, content in steps((ROOT / "docs" / "tutorial.md").read_text()):
        if not step.startswith("$ "):
            (tmp_path / step).write_text(content)
        elif not step[2:].startswith(_NOT_HERE):
            got = run(step[2:], tmp_path)
            assert matches(content, got), f"{step}\n{got}\nis not\n{content}"
            commands += 1
    assert commands >= 8


def test_output_that_differs_is_told() -> None:
    assert matches("a\n…\nc\n", "a\nb\nb\nc\n")
    assert matches("a … c\n", "a b c\n")
    assert not matches("a\nc\n", "a\nb\nc\n")
