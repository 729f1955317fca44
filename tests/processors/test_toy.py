"""A fifth processor: a folder, `tests/processors/toy`, and one line. Every command knows it by these."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from appnet.behaviour.reader import load_behaviour
from appnet.behaviour.run import run_behaviour
from appnet.cli.main import app
from appnet.diagnostics.source import FileSource
from appnet.processors import registry
from appnet.processors.registry import Entry

SAMPLES = Path("config/samples")
ELEMENTS = sorted((SAMPLES / "elements").glob("*.behaviour.yaml"))


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ENTRIES, "toy", Entry("a toy: the interpreter", "tests.processors.toy"))


def appnetctl(*arguments: str | Path) -> tuple[int, str, str]:
    answer = CliRunner().invoke(app, [str(it) for it in arguments])
    return answer.exit_code, answer.stdout, answer.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The echo sample, to be carried by the toy."""
    shutil.copytree(SAMPLES / "echo", tmp_path / "echo")
    shutil.copy(SAMPLES / "elements" / "cache.appnet", tmp_path / "echo")
    file = tmp_path / "echo" / "sample_echo_sidecar.yaml"
    file.write_text(file.read_text().replace("- sidecar", "- toy"))
    return file


@pytest.mark.parametrize("path", ELEMENTS, ids=lambda it: it.name.partition(".")[0])
def test_the_behaviour_suite_tries_it(path: Path) -> None:
    results = list(run_behaviour(load_behaviour(FileSource(path)), ["interpreted"]))
    assert results
    assert not [it.failures for it in results if it.failures]
    for it in results:  # what it cannot is skipped in the words that errors have
        assert not it.skipped or it.skipped.endswith(", which is not supported on interpreted")


def test_targets_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = registry.processors()["toy"]
    monkeypatch.setattr(toy, "targets", {"native": replace(toy.targets["interpreted"], name="native")})
    targets = registry.targets()
    assert {"toy/native", "sidecar/native", "wasm"} <= set(targets)
    assert "native" not in targets
    assert targets["toy/native"][0] is toy
    assert registry.target_names().count("native") == 1
    assert len(registry.targets_named("native")) == 2


def test_a_plan_is_made_and_explained_by_its_prices(config: Path) -> None:
    code, out, err = appnetctl("plan", config, "-o", "json")
    assert code == 0, err
    (chain,) = json.loads(out)["chains"]
    assert {it["processor"] for it in chain["segments"]} == {"toy"}
    assert chain["cost_us"] > 100
    code, out, err = appnetctl("explain", config)
    assert code == 0, err
    assert "expected CPU per RPC: " in out


def test_a_place_beside_a_sidecar(config: Path) -> None:
    config.write_text(config.read_text().replace("- toy", "- toy\n    - sidecar"))
    code, out, err = appnetctl("plan", config, "-o", "json")
    assert code == 0, err
    (chain,) = json.loads(out)["chains"]
    by_processor = {it["processor"]: it["elements"] for it in chain["segments"]}
    assert by_processor.pop("toy") == ["metrics"], "it can tell where it runs: it measures time"
    assert by_processor.keys() == {"sidecar"}, "it is cheaper by far"


def test_what_it_cannot_is_told_by_each_command(config: Path, tmp_path: Path) -> None:
    config.write_text(
        config.read_text().replace("- name: fault\n      file: fault.", "- name: cache\n      file: cache.")
    )
    for arguments in (
        ("check",),
        ("plan",),
        ("explain",),
        ("compile", "--write", tmp_path / "out"),
        ("run", "--once"),
    ):
        command, *options = arguments
        code, out, err = appnetctl(command, config, *options)
        assert code == 2, (command, out, err)
        assert "error[C068]: `cache` replies, which is not supported on interpreted" in out + err, command


def test_it_is_compiled_to_its_own_objects(config: Path, tmp_path: Path) -> None:
    code, _, err = appnetctl("compile", config, "--write", tmp_path / "out")
    assert code == 0, err
    written = {it.suffix for it in (tmp_path / "out" / "code").rglob("*.*")}
    assert written == {".c", ".toy"}
    objects = [
        it for file in (tmp_path / "out" / "kubernetes").iterdir() for it in yaml.safe_load_all(file.read_text())
    ]
    assert {it["kind"] for it in objects} >= {"ConfigMap"}
    assert "EnvoyFilter" not in {it["kind"] for it in objects}


def test_it_is_verified() -> None:
    code, out, _ = appnetctl("verify")
    assert code == 0
    assert "Toy" in out
