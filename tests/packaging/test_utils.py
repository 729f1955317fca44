"""The scripts in utils: shells and a linter read them. They set up machines and clusters, so nothing runs them here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[2] / "utils"
SCRIPTS = sorted(UTILS.glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda it: it.name)
def test_a_script_can_be_run_and_stops_at_errors(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert "\nset -euo pipefail\n" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


def test_the_linter_has_nothing_to_say() -> None:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None, "pip install -e '.[dev]' brings it"
    done = subprocess.run([program, *SCRIPTS], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_readme_names_each_script() -> None:
    named = set(re.findall(r"`(\w+\.sh)`", (UTILS / "README.md").read_text()))
    assert named == {it.name for it in SCRIPTS}
