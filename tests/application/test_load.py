"""One application from a file of either form, from several, and from texts in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.application.load import LoadedApplication, load
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import FileSource, MemorySource
from tests.support import snapshots
from tests.support.applications import said

BAD = Path(__file__).parent / "bad"
ECHO = Path("config/samples/echo")
CHAIN = Path("examples/chain")
TOGETHER = sorted((BAD / "together").glob("*.yaml"))


def in_memory(*folders: Path) -> dict[str, str]:
    """The texts of all files in the folders, by their paths."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return {file.as_posix(): file.read_text(encoding="utf-8") for file in files}


def compiled(application: LoadedApplication) -> list[object]:
    """What was made of the elements on each method."""
    return [
        (it.signature.full_name, {name: element.digest for name, element in it.elements.items()})
        for chain in application.chains
        for it in chain.methods
    ]


@pytest.mark.parametrize("file", [ECHO / "sample_echo_sidecar.yaml", CHAIN / "hotel.yaml"], ids=lambda it: it.stem)
def test_an_application_is_the_same_from_memory_as_from_files(file: Path) -> None:
    texts = in_memory(Path("config"), Path("examples"))
    here, there = load(FileSource(file)), load(MemorySource(file.as_posix(), texts))
    assert said(there.application) == said(here.application)
    assert compiled(there) == compiled(here)
    assert {it.name: it.replicas for it in there.manifest.deployments} == {
        it.name: it.replicas for it in here.manifest.deployments
    }
    assert [it.name for it in there.sources] == [
        it.name.replace("examples/chain/../", "examples/") for it in map(_normal, here.sources)
    ]
    assert not any(it.path for it in there.sources)


def _normal(source: Source) -> Source:
    assert source.path is not None
    return FileSource(source.path.resolve().relative_to(Path.cwd()))


def test_the_placeholder_stands_for_the_top_of_texts_in_memory() -> None:
    texts = {**in_memory(ECHO), "any/where.yaml": (ECHO / "sample_echo_sidecar.yaml").read_text()}
    for key in ("appManifestFile", "file", "proto"):
        texts["any/where.yaml"] = texts["any/where.yaml"].replace(f" {key}: ", f" {key}: <APPNET_DIR_PATH>/{ECHO}/")
    assert compiled(load(MemorySource("any/where.yaml", texts))) == compiled(
        load(FileSource(ECHO / "sample_echo_sidecar.yaml"))
    )


def test_imports_of_a_proto_in_memory_and_its_errors() -> None:
    texts = in_memory(ECHO)
    proto = texts[f"{ECHO}/echo.proto"]
    config = MemorySource(f"{ECHO}/sample_echo_sidecar.yaml", texts)
    texts[f"{ECHO}/echo.proto"] = proto.replace("\npackage", '\nimport "parts/more.proto";\npackage')
    with pytest.raises(DiagnosticError) as caught:
        load(config)
    assert {it.code for it in caught.value.diagnostics} == {"C050"}
    texts[f"{ECHO}/parts/more.proto"] = 'syntax = "proto3";\nmessage More { strin text = 1; }'
    with pytest.raises(DiagnosticError) as caught:
        load(config)
    assert f"{ECHO}/parts/more.proto:2:16" in str(caught.value)
    texts[f"{ECHO}/parts/more.proto"] = 'syntax = "proto3";\nmessage More { string text = 1; }'
    assert MemorySource(f"{ECHO}/parts/more.proto", texts) in load(config).sources


def test_a_missing_text_is_told_like_a_missing_file() -> None:
    texts = in_memory(ECHO)
    del texts[f"{ECHO}/fault.appnet"]
    with pytest.raises(DiagnosticError) as caught:
        load(MemorySource(f"{ECHO}/sample_echo_sidecar.yaml", texts))
    assert [(it.code, it.label) for it in caught.value.diagnostics] == [("C033", f"no such text: {ECHO}/fault.appnet")]
    with pytest.raises(DiagnosticError, match="C001"):
        load(MemorySource("nothing.yaml", texts))


# --- several files ---


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bad inputs outside the project, entered, so that paths in diagnostics are short and the same."""
    shutil.copytree(BAD, tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad")
    return tmp_path / "bad"


@pytest.mark.parametrize("path", TOGETHER, ids=lambda it: it.stem)
def test_files_that_are_not_one_application(path: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    with pytest.raises(DiagnosticError) as caught:
        load(FileSource(Path("parts/good.yaml")), FileSource(Path("together", path.name)))
    snapshots.compare(str(caught.value).replace(f"{folder}/", ""), path.with_suffix(".yaml.txt"), request)


def test_several_files_are_the_edges_of_one_application(folder: Path) -> None:
    good = Path("parts/good.yaml")
    back = good.with_name("back.yaml")
    back.write_text(
        good.read_text()
        .replace("clientService: frontend", "clientService: server")
        .replace("serverService: server", "serverService: frontend")
    )
    application = load(FileSource(good), FileSource(back)).application
    assert [str(it.edge) for it in application.chains] == ["frontend->server", "server->frontend"]
    assert [(str(client), str(server)) for client, server in application.edges] == [
        ("frontend", "server"),
        ("server", "frontend"),
    ]
    both = good.with_name("both.yaml")
    both.write_text(f"{good.read_text()}---\n{back.read_text()}")
    assert said(load(FileSource(both)).application) == said(application)


def test_each_file_tells_its_own_errors(folder: Path) -> None:
    good = Path("parts/good.yaml")
    wrong = good.with_name("wrong.yaml")
    wrong.write_text(good.read_text().replace("method: echo", "method: ecco"))
    absent = good.with_name("absent.yaml")
    with pytest.raises(DiagnosticError) as caught:
        load(FileSource(wrong), FileSource(absent))
    assert [it.code for it in caught.value.diagnostics] == ["C001", "C051"]


def test_elements_are_compiled_where_the_configuration_is_wrong_elsewhere(folder: Path) -> None:
    good = Path("parts/good.yaml")
    good.write_text(good.read_text().replace("processors:", "procesors: []\n  processors:"))
    element = Path("parts/fault.appnet")
    element.write_text(element.read_text().replace("Down", "Downn"))
    with pytest.raises(DiagnosticError) as caught:
        load(FileSource(good))
    assert [it.code for it in caught.value.diagnostics] == ["C010", "E030"]
