"""The chains of the cookbook run as they are, in front of the echo sample."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from appnet.processors.envoy.targets import TARGETS

COOKBOOK = Path("config/samples/cookbook")

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("name", sorted(it.stem for it in COOKBOOK.glob("*.yaml")))
def test_a_recipe_runs(name: str, target: str) -> None:
    command = [sys.executable, "-m", "appnet", "run", str(COOKBOOK / f"{name}.yaml"), "--once", "--target", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout
