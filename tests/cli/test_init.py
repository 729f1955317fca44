"""`appnetctl init`: samples to start from, far from any clone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from appnet.cli.main import app
from appnet.samples.copies import SAMPLES, samples_folder
from tests.support import snapshots

ROOT = Path(__file__).parents[2]
FILES = {str(it.relative_to(samples_folder())) for it in samples_folder().rglob("*") if it.is_file()}
COOKBOOK = {it for it in FILES if not it.startswith(("hotel/", "echo-go/", "echo-py/"))}
HOTEL = {it.removeprefix("hotel/") for it in FILES if it.startswith("hotel/")}
WORKFLOW = ".github/workflows/appnet.yml"
ECHO = {it.removeprefix("echo/") for it in FILES if it.startswith("echo/")}


def appnetctl(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def written(folder: Path) -> set[str]:
    return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()} - {WORKFLOW}


@pytest.mark.parametrize(("sample", "files"), [("echo", ECHO), ("hotel", HOTEL), ("cookbook", COOKBOOK)])
def test_a_sample_is_whole_and_right_where_it_was_copied_to(
    sample: str, files: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = appnetctl("init", "my/shop", "--sample", sample)
    assert answer.exit_code == 0, answer.output
    assert written(tmp_path / "my" / "shop") == files
    assert answer.stdout.startswith(f"wrote {len(files) + 1} files to {tmp_path / 'my/shop'}: ")
    check, test, run = re.findall(r"^  appnetctl (.*)$", answer.stdout, re.MULTILINE)
    checked = appnetctl(*check.split())
    assert checked.exit_code == 0, checked.output
    assert test == "test my/shop"
    assert run == f"run my/shop/{SAMPLES[sample].config}"
    assert Path(run.split()[1]).is_file()


def test_the_echo_sample_is_tried_where_it_was_copied_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert appnetctl("init").exit_code == 0
    assert written(tmp_path) == ECHO
    answer = appnetctl("test", "--target", "interpreter")
    assert answer.exit_code == 0, answer.output
    assert ": 3 passed, 0 failed" in answer.stdout


def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop").mkdir()
    for name in ("fault.appnet", "logging.appnet"):
        Path("shop", name).write_text("mine")
    answer = appnetctl("init", "shop")
    assert answer.exit_code == 2
    snapshots.compare(answer.stderr, Path(__file__).parent / "bad_init.txt", request)
    assert written(Path("shop")) == {"fault.appnet", "logging.appnet"}
    assert appnetctl("init", "shop", "--sample", "cookbook").exit_code == 0  # beside them
    assert Path("shop", "fault.appnet").read_text() == "mine"
    assert appnetctl("init", "shop", "--sample", "hotel").exit_code == 2
    assert not Path("shop", "hotel.yaml").exists()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("")
    answer = appnetctl("init", str(tmp_path / "shop"))
    assert answer.exit_code == 2
    assert "error[C086]" in answer.stderr


def test_a_sample_that_there_is_not() -> None:
    answer = appnetctl("init", "--sample", "ech")
    assert answer.exit_code == 2
    assert "'ech' is not one of echo, hotel, cookbook; did you mean `echo`?" in answer.stderr


def test_samples_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = appnetctl("init", "--list")
    assert answer.exit_code == 0
    assert [it.split()[0] for it in answer.stdout.splitlines()] == list(SAMPLES)
    assert not list(tmp_path.iterdir())


@pytest.mark.e2e
@pytest.mark.parametrize("sample", ["echo", "hotel"])
def test_a_projects_workflow_passes(sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps, and those of our action, as a machine of GitHub would take them."""
    monkeypatch.chdir(tmp_path)
    assert appnetctl("init", "--sample", sample).exit_code == 0
    (job,) = yaml.safe_load(Path(WORKFLOW).read_text())["jobs"].values()
    checkout, ours, run = job["steps"]
    assert checkout == {"uses": "actions/checkout@v4"}
    assert ours == {"uses": "appnet-org/appnet@main"}
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    commands = [it["run"] for it in steps if it.get("run", "").startswith("appnetctl")]
    assert [it.split()[1] for it in commands] == ["check", "test"]
    for command in (*commands, run["run"]):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        step = subprocess.run(
            ["bash", "-ec", command],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PATHS": ".", "PATH": path},
        )
        assert step.returncode == 0, step.stdout + step.stderr
