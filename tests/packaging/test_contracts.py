"""The import contracts would notice: each is broken by one import in a copy of the code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BREAKS = {
    "the road from text to traffic goes one way": ("optimize/cost.py", "from appnet.compile import fit"),
    "processors know the seam, and not each other": (
        "processors/processor.py",
        "from appnet.processors import registry",
    ),
    "nobody but the registry names a processor": ("compile/fit.py", "from appnet.processors.envoy import targets"),
    "environments do not know each other": ("deploy/kubernetes/output.py", "from appnet.deploy.local import watch"),
    "what programs import is light": ("grpc/records.py", "import yaml"),
    "clients of others' software stay in their rooms": ("optimize/cost.py", "import z3"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken(folder: Path) -> set[str]:
    """The names of the contracts that the code in the folder breaks."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "Contracts:" in run.stdout, run.stderr
    return {line.partition(" BROKEN")[0] for line in run.stdout.splitlines() if " BROKEN" in line}


@pytest.mark.parametrize("contract", BREAKS)
def test_one_import_breaks_it(contract: str, copy: Path) -> None:
    name, line = BREAKS[contract]
    file = copy / "src" / "appnet" / name
    file.write_text(
        file.read_text().replace(
            "from __future__ import annotations\n", f"from __future__ import annotations\n\n{line}\n", 1
        )
    )
    assert contract in broken(copy)


def test_as_they_stand_they_are_kept(copy: Path) -> None:
    assert broken(copy) == set()
