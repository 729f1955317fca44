"""The wheel: what is in it, what it says of itself, and that it needs no clone beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "config" / "samples"
SOURCES = ROOT / "src"
RUST = ROOT / "rust"
CRATES = ("appnet-mrpc-host", "phoenix-appnet")


def files(folder: Path) -> set[str]:
    return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file() and "__pycache__" not in it.parts}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, where pip would put them."""
    made, site = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(made)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = made.iterdir()
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_it_has_the_package_the_samples_and_the_crates(installed: Path) -> None:
    wanted = files(SOURCES) | {f"appnet/samples/files/{it}" for it in files(SAMPLES)}
    wanted |= {f"appnet/processors/mrpc/rust/{crate}/{it}" for crate in CRATES for it in files(RUST / crate)}
    assert {it for it in files(installed) if ".dist-info/" not in it} == wanted


def test_it_says_what_it_is_and_under_which_licence(installed: Path) -> None:
    (folder,) = installed.glob("*.dist-info")
    metadata = HeaderParser().parsestr((folder / "METADATA").read_text())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert (folder / "licenses" / metadata["License-File"]).read_bytes() == (ROOT / "LICENSE").read_bytes()
    urls = dict(it.split(", ") for it in metadata.get_all("Project-URL", []))
    assert urls.keys() == {"Homepage", "Documentation", "Source", "Changelog", "Issues"}
    assert "appnetctl = appnet.cli.main:main" in (folder / "entry_points.txt").read_text()


def test_it_needs_no_clone(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(tmp_path / "home")}

    def appnetctl(*arguments: str) -> str:
        command = [sys.executable, "-m", "appnet", *arguments]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    where = [sys.executable, "-c", "import appnet; print(appnet.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert found == f"{installed / 'appnet' / '__init__.py'}\n"
    appnetctl("init", "shop")
    assert files(tmp_path / "shop") == files(SAMPLES / "echo") | {".github/workflows/appnet.yml"}
    assert "0 errors, 0 warnings" in appnetctl("check", "shop")
    assert ": 3 passed, 0 failed" in appnetctl("test", "shop", "--target", "native")


def test_an_editable_install_has_the_samples_of_the_clone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel:editable", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    with ZipFile(wheel) as archive:
        inside = {it: archive.read(it).decode() for it in archive.namelist() if ".dist-info/" not in it}
    assert inside == {"_appnet.pth": str(SOURCES)}
