"""What killed runs leave, and who sweeps it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from appnet.deploy.local.folders import run_folder


def test_a_run_sweeps_what_those_left_that_were_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(20)
    left = tmp_path / f"appnet-run-{ended.pid}-x"
    (left / "node").mkdir(parents=True)
    foreign = tmp_path / "appnet-run-mine"
    foreign.mkdir()
    with run_folder() as first:
        assert not left.exists()
        with run_folder() as second:
            assert first.is_dir(), "it is in use"
            assert second.is_dir()
        assert not second.exists()
    assert [it.name for it in tmp_path.iterdir()] == ["appnet-run-mine"]
