"""Every bad configuration and .proto beside its rendered diagnostics."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.application.load import load
from appnet.application.proto import load_proto
from appnet.compile.fit import load_application
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.pages import codes
from appnet.diagnostics.source import FileSource
from tests.support import snapshots

BAD = Path(__file__).parent / "bad"
INPUTS = sorted([*BAD.glob("*.yaml"), *BAD.glob("*.proto")])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bad inputs outside the project, entered, so that paths in diagnostics are short and the same."""
    shutil.copytree(BAD, tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad")
    return tmp_path / "bad"


def diagnose(path: Path) -> DiagnosticError:
    read = load_application if path.suffix == ".yaml" else load_proto
    with pytest.raises(DiagnosticError) as caught:
        read(FileSource(path))
    return caught.value


@pytest.mark.parametrize("path", INPUTS, ids=lambda it: it.name)
def test_diagnostics(path: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    error = diagnose(Path(path.name))
    snapshots.compare(str(error).replace(f"{folder}/", ""), path.with_suffix(f"{path.suffix}.txt"), request)
    for it in error.diagnostics:
        assert it.title
        assert it.help, "a remedy is missing"
        assert it.span.line >= 1
        assert it.span.column >= 1


def test_every_code_has_a_bad_input(folder: Path) -> None:
    seen = {it.code for path in INPUTS for it in diagnose(Path(path.name)).diagnostics}
    seen |= {it.code for name in ("absent.yaml", "latin1.yaml") for it in _unreadable(folder / name).diagnostics}
    # tests/control, cli, processors
    of_commands = {
        "C021",
        "C061",
        "C062",
        "C063",
        "C064",
        "C068",
        "C086",
        "C089",
        "C091",
        "C095",
        "C096",
        "C097",
        "C098",
        "C099",
        "C100",
        "C110",
        "N001",
        "N002",
        "N007",
        "N008",
    }
    of_elements = {"N004", "N005", "N006"}  # tests/ir, compile
    of_several_files = {"C019", "C025", "C026", "N003"}  # test_load.py, test_write.py
    of_specs = {"C018", "C023", "C024", "C036", "C044", "C045", "C046"}  # test_spec.py
    of_compilation = {
        "C047",
        "C048",
        "C049",
        "C053",
        "C055",
        "C065",
        "C066",
        "C067",
        "C069",
        "C085",
        "C087",
        "C088",
    }  # tests/compile, analysis
    of_behaviour_files = {"C070", "C071", "C072", "C073", "C074", "C075", "C076"}  # tests/behaviour
    of_plans = {"C080", "C081", "C082", "C083", "C084"}  # tests/optimize
    assert {
        it for it in codes() if it[0] in "CN"
    } - seen == of_commands | of_elements | of_several_files | of_specs | of_compilation | of_behaviour_files | of_plans


def _unreadable(path: Path) -> DiagnosticError:
    if path.stem == "latin1":
        path.write_bytes("name: caf\xe9\n".encode("latin-1"))
    return diagnose(path)


def test_good_configuration() -> None:
    edge = load(FileSource(BAD / "parts" / "good.yaml")).chains[0]
    assert set(edge.elements) == {"fault", "firewall"}
