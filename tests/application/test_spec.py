"""Specifications of applications: what is read, and every bad one beside its rendered diagnostics."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.application.load import LoadedApplication, load
from appnet.application.model import Side
from appnet.compile.fit import load_application
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource
from tests.support import snapshots

BAD = Path(__file__).parent / "bad"
INPUTS = sorted((BAD / "specs").glob("*.yaml"))
CODES_HERE = {"C018", "C023", "C024", "C036", "C044", "C045", "C046"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bad inputs outside the project, entered, so that paths in diagnostics are short and the same."""
    shutil.copytree(BAD, tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad" / "specs")
    return tmp_path / "bad" / "specs"


@pytest.mark.parametrize("path", INPUTS, ids=lambda it: it.stem)
def test_diagnostics(path: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    with pytest.raises(DiagnosticError) as caught:
        load_application(FileSource(Path(path.name)))
    text = str(caught.value).replace(f"{folder}/", "")
    snapshots.compare(text, path.with_suffix(".yaml.txt"), request)
    assert all(it.help for it in caught.value.diagnostics), "a remedy is missing"


def test_every_code_of_specifications_has_a_bad_one(folder: Path) -> None:
    seen: set[str] = set()
    for path in INPUTS:
        with pytest.raises(DiagnosticError) as caught:
            load_application(FileSource(Path(path.name)))
        seen |= {it.code for it in caught.value.diagnostics}
    assert seen >= CODES_HERE


ELEMENT = "    - {{method: echo, name: {0}, path: ../parts/fault.appnet, proto: ../parts/echo.proto{1}}}\n"
PAIR = "    - {{method: echo, name1: {0}, path1: ../parts/fault.appnet, name2: {1}, path2: ../parts/fault.appnet, proto: ../parts/echo.proto}}\n"


def written(folder: Path, elements: list[tuple[str, str]], pairs: list[tuple[str, str]] = []) -> LoadedApplication:  # noqa: B006
    text = "app_name: echo\napp_manifest: ../parts/echo.yaml\napp_structure: [frontend->server]\n"
    if elements:
        text += "edge:\n  frontend->server:\n"
        text += "".join(ELEMENT.format(name, f", position: {at}" if at else "") for name, at in elements)
    if pairs:
        text += "link:\n  frontend -> server:\n" + "".join(PAIR.format(*pair) for pair in pairs)
    (folder / "good.yaml").write_text(text)
    return load(FileSource(folder / "good.yaml"))


def sides(application: LoadedApplication) -> tuple[str, str]:
    (chain,) = application.chains
    stops = chain.chain.stops
    client, server = ("".join(it.spec.name.value for it in stops if it.side is side) for side in Side)
    assert [it.spec.name.value for it in stops] == list(client + server), "sides follow the way of a request"
    return client, server


@pytest.mark.parametrize(
    ("elements", "pairs", "expected"),
    [
        ([("a", "client"), ("b", "any"), ("c", "server")], [], ("ab", "c")),
        ([("a", "any"), ("b", "C"), ("c", "S"), ("d", "")], [], ("ab", "cd")),
        ([("a", ""), ("b", "C/S")], [], ("ab", "")),
        ([("a", "any"), ("b", "server")], [], ("", "ab")),
        ([("a", "any"), ("b", "server")], [("c", "d")], ("ac", "db")),
        ([("a", "client"), ("b", "server")], [("c", "d"), ("e", "f")], ("ace", "fdb")),
        ([], [("c", "d")], ("c", "d")),
    ],
)
def test_sides(
    folder: Path, elements: list[tuple[str, str]], pairs: list[tuple[str, str]], expected: tuple[str, str]
) -> None:
    assert sides(written(folder, elements, pairs)) == expected


def test_equal_elements_are_compiled_once() -> None:
    kvstore = load(FileSource(Path("examples/chain/kvstore.yaml")))
    get, set_ = kvstore.chains
    assert (get.chain.method, set_.chain.method) == ("get", "set")
    assert get.elements["key_rules"] is not set_.elements["key_rules"], "another method"
    again = load(FileSource(Path("examples/chain/hotel.yaml")))
    assert len({id(it.elements["metrics"]) for it in again.chains if "metrics" in it.elements}) == 2
