"""Paths on the command line that name nothing, or another kind of file than the command takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from appnet.cli.main import app
from tests.support import snapshots

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
CONFIG = "sample_echo_sidecar.yaml"
WRONG = [
    "check sample_echo_sidecr.yaml",
    "check fault.appnet --proto ecco.proto",
    "show falt.appnet",
    "show .",
    "show echo.yaml",
    "fmt falt.appnet echo.yaml",
    "check fault.appnet --proto echo.proto --method ecco",
    "fmt empty",
    "test nope",
    "test emty",
    "test nearly.behavior.yaml",
    "test fault.appnet",
    f"trace {CONFIG} --tap nope.json",
    f"trace {CONFIG} --tap bytes.json",
    f"compile {CONFIG} --dry-run --pseudo_impl emty",
    "check echo.yaml",
    "run fault.appnet",
    "plan echo.yaml",
    "explain sample_echo_sidecar.behaviour.yaml",
    "convert echo.proto",
    "convert nearly.behavior.yaml",
    f"convert {CONFIG} -w echo.yaml",
]


def appnetctl(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sample, entered, so that paths are short."""
    shutil.copytree(ECHO, tmp_path / "echo")
    monkeypatch.chdir(tmp_path / "echo")
    (tmp_path / "echo" / "empty").mkdir()
    (tmp_path / "echo" / "bytes.json").write_bytes(b"\xff")
    shutil.copy(ECHO / "sample_echo_sidecar.behaviour.yaml", tmp_path / "echo" / "nearly.behavior.yaml")
    return tmp_path / "echo"


@pytest.mark.usefixtures("folder")
def test_what_is_told_of_them(request: pytest.FixtureRequest) -> None:
    told: list[str] = []
    for it in WRONG:
        answer = appnetctl(*it.split())
        assert answer.exit_code == 2, it
        told.append(f"$ appnetctl {it}\n{answer.stderr}")
    snapshots.compare("".join(told), Path(__file__).parent / "wrong_files.txt", request)


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
    assert "nearly.behavior.yaml is not named as a behaviour file" in answer.stderr
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
