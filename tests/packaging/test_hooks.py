"""The pre-commit hooks and the GitHub Action: what they run is there, and does what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "config" / "samples" / "echo"
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
STEPS = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
COMMANDS = [it["run"] for it in STEPS if "appnetctl" in it.get("run", "")]


def appnetctl(line: str, *files: Path) -> subprocess.CompletedProcess[str]:
    _, *words = line.split()
    command = [sys.executable, "-m", "appnet", *words, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda it: it["id"])
def test_a_hook_passes_good_files_and_stops_at_bad_ones(hook: dict[str, str], tmp_path: Path) -> None:
    files = [it for it in sorted(ECHO.iterdir()) if re.search(hook["files"], it.name)]
    assert files
    good = appnetctl(hook["entry"], *files)
    assert good.returncode == 0, good.stderr
    broken = tmp_path / "broken.appnet"
    broken.write_text("state\n")
    assert appnetctl(hook["entry"], broken).returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_step_of_the_action_passes_the_samples(command: str) -> None:
    done = appnetctl(command.replace("$PATHS", ""), ECHO)
    assert done.returncode == 0, done.stderr
