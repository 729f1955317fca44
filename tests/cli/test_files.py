"""Folders on the command line: what of them is AppNet's, and nearly so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from appnet.cli.main import app

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
CONFIG = "sample_echo_sidecar.yaml"


def appnetctl(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sample, entered, so that paths are short."""
    shutil.copytree(ECHO, tmp_path / "echo")
    monkeypatch.chdir(tmp_path / "echo")
    shutil.copy(ECHO / "sample_echo_sidecar.behaviour.yaml", tmp_path / "echo" / "nearly.behavior.yaml")
    return tmp_path / "echo"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (CONFIG, "kind: AppNetConfig", "kind: AppnetConfig"),
        (CONFIG, "kind: AppNetConfig\n", ""),
        (CONFIG, "apiVersion: api.core.appnet.io/v1\nkind: AppNetConfig", "kind: AppNetConfg"),
        (CONFIG, "apiVersion: api.core.appnet.io/v1", "apiVersion: api.core.apnet.io/v1"),
    ],
)
def test_check_of_a_folder_finds_what_misspells_that_it_is_ours(
    folder: Path, name: str, before: str, after: str
) -> None:
    (folder / "nearly.behavior.yaml").unlink()
    assert appnetctl("check", ".").exit_code == 0
    file = folder / name
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    answer = appnetctl("check", ".")
    assert answer.exit_code == 2
    assert name in answer.stderr


def test_check_of_a_folder_finds_misspelled_specifications_and_behaviour_files(folder: Path) -> None:
    answer = appnetctl("check", ".")
    assert answer.exit_code == 2
    assert "nearly.behavior.yaml is not named like a behaviour file" in answer.stderr
    (folder / "nearly.behavior.yaml").unlink()
    (folder / "application.yaml").write_text("app_nmae: shop\napp_manifest: echo.yaml\n")
    answer = appnetctl("check", ".")
    assert "unknown key `app_nmae`" in answer.stderr


def test_check_of_a_folder_leaves_what_is_of_others(folder: Path) -> None:
    (folder / "nearly.behavior.yaml").unlink()
    before = appnetctl("check", ".").stdout
    (folder / "values.yaml").write_text("name: shop\nappName: shop\nedges: []\n")
    (folder / "other.yaml").write_text("apiVersion: example.org/v1\nkind: AppConfig\n")
    assert appnetctl("check", ".").stdout == before


def test_fmt_takes_folders(folder: Path) -> None:
    messy = folder / "fault.appnet"
    messy.write_text(messy.read_text().replace("    ", "\t"))
    answer = appnetctl("fmt", "--check", ".")
    assert (answer.exit_code, answer.stderr) == (1, "would reformat fault.appnet\n")
