"""What `make` says on a machine that lacks something."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `make` in ``folder``, which has nothing but the project's Makefile and pyproject.toml."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_make_alone_lists_what_there_is(tmp_path: Path) -> None:
    run = make(tmp_path)
    assert run.returncode == 0
    assert {"quickstart", "test", "lint", "fuzz", "bench-NAME"} <= set(run.stdout.split())


@pytest.mark.parametrize(
    ("python", "says"),
    [("", "AppNet needs Python 3.11 or newer"), ("/bin/false", "cannot make virtual environments")],
)
def test_a_python_that_will_not_do(tmp_path: Path, python: str, says: str) -> None:
    run = make(tmp_path, "quickstart", f"PYTHON={python}")
    assert run.returncode != 0
    assert says in run.stderr
    assert "apt install" in run.stderr
    assert not (tmp_path / ".venv").exists()


def test_options_reach_the_command(tmp_path: Path) -> None:
    run = make(tmp_path, "-n", "quickstart", "ONCE=1", "TARGET=wasm", "PORT=8080", "OPT_LEVEL=no", "FILE=mine.yaml")
    last = run.stdout.splitlines()[-1]
    assert last == ".venv/bin/appnetctl run mine.yaml --target wasm --opt-level no --port 8080 --once"
