"""Bad behaviour files beside their diagnostics."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.behaviour.reader import load_behaviour
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource
from tests.support import snapshots

BAD = Path(__file__).parent / "bad"
INPUTS = sorted(BAD.glob("*.behaviour.yaml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(BAD, tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad")
    return tmp_path / "bad"


@pytest.mark.parametrize("path", INPUTS, ids=lambda it: it.name)
def test_diagnostics(path: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    with pytest.raises(DiagnosticError) as caught:
        load_behaviour(FileSource(Path(path.name)))
    snapshots.compare(str(caught.value), path.with_suffix(".txt"), request)


def test_every_code_has_a_bad_input(folder: Path) -> None:
    seen = set()
    for path in INPUTS:
        with pytest.raises(DiagnosticError) as caught:
            load_behaviour(FileSource(Path(path.name)))
        seen |= {it.code for it in caught.value.diagnostics}
    assert {"C070", "C071", "C072", "C073", "C074", "C075"} <= seen
