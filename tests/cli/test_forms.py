"""One front door: every command takes an application in either form, or in several files, with the same defaults."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from appnet.application.load import load
from appnet.cli.main import app
from appnet.diagnostics.source import FileSource
from tests.behaviour.test_tap import request_of
from tests.support.applications import said

CONFIG = Path("config/samples/echo/sample_echo_sidecar.yaml")
KVSTORE = Path("examples/chain/kvstore.yaml")


def appnetctl(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The key-value application: its specification, its AppNetConfigs in one file, and one in each of two."""
    folder = tmp_path_factory.mktemp("forms")
    both = folder / "both.yaml"
    answer = appnetctl("convert", KVSTORE, "--write", both)
    assert answer.exit_code == 0, answer.output
    each = [folder / f"{number}.yaml" for number in range(2)]
    for file, text in zip(each, both.read_text().split("---\n"), strict=True):
        file.write_text(text)
    return {"specification": [KVSTORE], "one file": [both], "two files": each}


def same(answers: list[Result]) -> str:
    assert [it.exit_code for it in answers] == [0] * len(answers), answers[0].output
    (output,) = {it.stdout for it in answers}
    return output


@pytest.mark.parametrize("command", [["plan", "-o", "json"], ["explain"], ["explain", "-o", "json"]], ids=" ".join)
def test_plans_are_the_same(command: list[str], forms: dict[str, list[Path]]) -> None:
    same([appnetctl(*command, *files) for files in forms.values()])


def test_what_is_compiled_is_the_same(forms: dict[str, list[Path]], tmp_path: Path) -> None:
    folders = []
    for name, files in forms.items():
        folders.append(tmp_path / name)
        answer = appnetctl("compile", *files, "--write", folders[-1])
        assert answer.exit_code == 0, answer.output
    first, *others = ({it.relative_to(at): it.read_bytes() for it in at.rglob("*") if it.is_file()} for at in folders)
    assert others == [first, first]


def test_plan_and_compile_have_the_same_defaults(tmp_path: Path) -> None:
    assert appnetctl("compile", CONFIG, "--write", tmp_path).exit_code == 0
    made = json.loads((tmp_path / "plan.json").read_text())["chains"][0]["segments"]
    (planned,) = json.loads(appnetctl("plan", CONFIG, "-o", "json").stdout)["chains"]
    assert {it["target"] for it in made} == {"native"}
    assert [it["elements"] for it in made] == [it["elements"] for it in planned["segments"]]


@pytest.mark.parametrize("target", ["native", "wasm"])
def test_notes_of_a_target_for_either_form(target: str, forms: dict[str, list[Path]]) -> None:
    told = [appnetctl("check", *forms[name], "--target", target) for name in ("specification", "one file")]
    assert [it.exit_code for it in told] == [0, 0]
    titles = [[line for line in it.stderr.splitlines() if line.startswith("note")] for it in told]
    assert sorted(titles[0]) == sorted(titles[1]) != []


def test_captured_calls_of_either_form(forms: dict[str, list[Path]], tmp_path: Path) -> None:
    capture = tmp_path / "tap.json"
    capture.write_text(request_of("/kv.KVService/set", as_bytes="AAAAAAMaAWE="))  # the key `a`
    traces = [appnetctl("trace", *files, "--tap", capture) for files in (forms["specification"], forms["one file"])]
    assert [it.exit_code for it in traces] == [0, 0], traces[0].output
    assert traces[0].stdout.splitlines()[1:] == traces[1].stdout.splitlines()[1:]
    assert "write_quota" in traces[0].stdout
    capture.write_text(request_of(as_bytes="AAAAAAA="))
    answer = appnetctl("trace", KVSTORE, "--tap", capture)
    assert answer.exit_code == 2
    assert answer.stderr.count("error[C076]") == 2, "none of get, none of set"


def test_a_behaviour_file_names_a_chain_of_either_form(forms: dict[str, list[Path]], tmp_path: Path) -> None:
    steps = "cases:\n  - name: it\n    steps:\n      - request: {key: a}\n"
    for name in ("specification", "one file"):
        (file,) = forms[name]
        behaviour = tmp_path / "it.behaviour.yaml"
        behaviour.write_text(f"config: {file.resolve()}\nmethod: get\n{steps}")
        assert appnetctl("test", behaviour, "--target", "interpreter").exit_code == 0
        behaviour.write_text(f"config: {file.resolve()}\nmethod: gat\n{steps}")
        answer = appnetctl("check", behaviour)
        assert answer.exit_code == 2
        assert "C051" in answer.stderr
        assert "did you mean" in answer.stderr
        behaviour.write_text(f"config: {file.resolve()}\n{steps}")
        answer = appnetctl("check", behaviour)
        assert "add `method: /kv.KVService/get` or `method: /kv.KVService/set`" in answer.stderr


def test_compile_wants_files() -> None:
    answer = appnetctl("compile")
    assert answer.exit_code == 2
    assert "pass the application's files" in answer.stderr


# --- convert ---


def test_convert_writes_to_standard_output_with_paths_from_here() -> None:
    answer = appnetctl("convert", CONFIG)
    assert answer.exit_code == 0
    assert answer.stdout.startswith("app_name: echo\napp_manifest: config/samples/echo/echo.yaml\n")


def test_convert_makes_one_specification_of_several_configurations(
    forms: dict[str, list[Path]], tmp_path: Path
) -> None:
    output = tmp_path / "spec.yaml"
    answer = appnetctl("convert", *forms["two files"], "-w", output)
    assert answer.exit_code == 0, answer.output
    assert answer.stderr == f"wrote {output}\n"
    assert _said(output) == _said(KVSTORE)


def _said(file: Path) -> object:
    return said(load(FileSource(file)).application)


def test_convert_tells_what_it_leaves_out(tmp_path: Path) -> None:
    shutil.copytree("examples", tmp_path / "examples")
    shutil.copytree("config", tmp_path / "config")
    echo = tmp_path / "examples" / "chain" / "echo.yaml"
    echo.write_text(echo.read_text().replace("  - frontend->server\n", "  - frontend->server\n  - server->frontend\n"))
    answer = appnetctl("convert", echo, "--to", "appnetconfig")
    assert answer.exit_code == 0
    assert "note[N003]" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([CONFIG, "-w", CONFIG.parent / ".." / "echo" / CONFIG.name], "already exists"),
        ([CONFIG, "examples/chain/echo.yaml"], "FILES have both forms"),
        (["examples/chain/hotel.yaml"], "error[C026]"),
        (["nothing.yaml"], "error[C001]"),
        ([CONFIG, "-w", "/nowhere/it.yaml"], "error[C086]"),
    ],
)
def test_what_convert_refuses(arguments: list[str | Path], words: str) -> None:
    answer = appnetctl("convert", *arguments)
    assert answer.exit_code == 2
    assert words in " ".join(answer.stderr.split())
