"""`appnetctl compile` and `python compiler/ --spec`: each option does what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from appnet.cli.main import app
from appnet.optimize.prices import write_prices
from tests.processors.grpc.chains import read_chains
from tests.support.prices import DEFAULT

ECHO = "examples/chain/echo.yaml"
GUIDE = ["--spec", ECHO, "--backend", "envoy", "-v", "--opt_level", "no"]


def compiled(*arguments: str | Path, spec: str = ECHO) -> Result:
    return CliRunner().invoke(app, ["compile", "--spec", spec, *map(str, arguments)])


def segments(folder: Path) -> list[list[str]]:
    plan: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return [it["elements"] for chain in plan["chains"] for it in chain["segments"]]


@pytest.mark.e2e
def test_the_command_of_the_guide_is_appnetctl_compile(tmp_path: Path) -> None:
    commands = {"guide": [str(Path("compiler").resolve())], "appnetctl": ["-m", "appnet", "compile"]}
    arguments = [*GUIDE, "--write", "generated"]
    arguments[1] = str(Path(ECHO).resolve())
    answers = []
    for place, command in commands.items():
        (tmp_path / place).mkdir()
        words = [sys.executable, *command, *arguments]
        answers.append(subprocess.run(words, cwd=tmp_path / place, capture_output=True, text=True, check=True).stdout)
    assert answers[0] == answers[1]
    assert "as written   client: fault | logging\n               server: firewall\n" in answers[0]
    folders = [tmp_path / place for place in commands]
    both = [{it.relative_to(at): it.read_bytes() for it in at.rglob("*") if it.is_file()} for at in folders]
    assert both[0] == both[1]
    assert segments(tmp_path / "guide" / "generated") == [["fault"], ["logging"], ["firewall"]]


def test_it_writes_what_it_says(tmp_path: Path) -> None:
    answer = compiled("--write", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    said = [Path(line.removeprefix("wrote ")) for line in answer.stdout.splitlines()]
    assert said == sorted(it for it in (tmp_path / "out").rglob("*") if it.is_file())


def test_a_dry_run_does_all_but_write(tmp_path: Path) -> None:
    answer = compiled("--dry_run", "--write", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    assert f"would write {tmp_path}/out/code/frontend_server/echo.client.so" in answer.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("level", ["no", "ignore", "weak", "strong"])
def test_levels(level: str, tmp_path: Path) -> None:
    assert compiled("--opt_level", level, "--write", tmp_path).exit_code == 0
    assert (len(segments(tmp_path)) == 3) == (level == "no")


def test_no_optimize_has_the_last_word(tmp_path: Path) -> None:
    assert compiled("--no_optimize", "--opt_level", "ignore", "--write", tmp_path).exit_code == 0
    assert segments(tmp_path) == [["fault"], ["logging"], ["firewall"]]


@pytest.mark.parametrize("algorithm", ["cost", "heuristics"])
def test_algorithms(algorithm: str, tmp_path: Path) -> None:
    assert compiled("--opt_algorithm", algorithm, "--write", tmp_path).exit_code == 0
    assert sorted(it for segment in segments(tmp_path) for it in segment) == ["fault", "firewall", "logging"]


def test_measured_prices(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    write_prices(replace(DEFAULT, crossing=1000.0), prices)
    told = compiled("-v", "--dry_run", "--prices", prices).stdout
    assert re.search(r"expected CPU per RPC: \d{3,4}\.\d µs ", told)
    missing = compiled("--dry_run", "--prices", tmp_path / "none.yaml")
    assert missing.exit_code == 2
    assert "error[C001]" in missing.stderr


def test_replicas(tmp_path: Path) -> None:
    assert compiled("--replica", "4", "--write", tmp_path).exit_code == 0
    assert (tmp_path / "kubernetes" / "50-application.yaml").read_text().count("replicas: 4") == 2
    assert compiled("--replica", "0").exit_code == 2


def test_properties_by_hand_decide(tmp_path: Path) -> None:
    """Where the fault injection is said not to refuse, what it refuses cannot keep records in their place."""
    properties = tmp_path / "properties.yaml"
    properties.write_text("fault: {request: {refuses: false, random: false}}\n")
    reasons = []
    for more in ([], ["--pseudo_property", properties]):
        assert compiled("--opt_level", "strong", *more, "--write", tmp_path / "out").exit_code == 0
        pairs = json.loads((tmp_path / "out" / "plan.json").read_text())["chains"][0]["explanation"]["pairs"]
        reasons.append({(it["first"], it["second"]): it["status"] for it in pairs}["fault", "logging"])
    assert reasons[0] == "kept"
    assert reasons[1] != "kept"
    properties.write_text("falt: {}\n")
    answer = compiled("--pseudo_property", properties)
    assert answer.exit_code == 2
    assert "did you mean `fault`?" in answer.stderr


def test_code_by_hand(tmp_path: Path) -> None:
    assert compiled("--write", tmp_path / "out").exit_code == 0
    code = tmp_path / "out" / "code"
    file = code / "frontend_server" / "echo.client.c"
    file.write_text(file.read_text().replace("fault_injected", "fault by hand"))
    answer = compiled("--pseudo_impl", code, "--write", tmp_path / "again")
    assert answer.exit_code == 0, answer.output
    assert b"fault by hand" in (tmp_path / "again" / "code" / "frontend_server" / "echo.client.so").read_bytes()


def test_debug_tells_what_takes_how_long(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert compiled("--dry_run").exit_code == 0
    assert not caplog.messages
    assert compiled("--dry_run", "--debug").exit_code == 0
    assert any("planned in" in it for it in caplog.messages)
    assert any("bytes for native in" in it for it in caplog.messages)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--mrpc_dir", "/home/me/phoenix"], "it is for --backend mrpc")],
)
def test_options_that_do_not_go_together(arguments: list[str], told: str) -> None:
    answer = compiled(*arguments)
    assert answer.exit_code == 2
    assert told in " ".join(answer.stderr.split())


def echo_for(tmp_path: Path, *processors: str) -> str:
    """The specification whose elements may run on these processors; on any, where there are none."""
    text = Path(ECHO).read_text().replace("../../", f"{Path.cwd()}/")
    listed = "".join(f"      processor: [{', '.join(processors)}]\n" for _ in processors[:1])
    file = tmp_path / "echo.yaml"
    file.write_text(re.sub(r"      processor:\n        - sidecar\n", listed, text))
    return str(file)


@pytest.mark.parametrize("processors", [(), ("sidecar", "grpc")], ids=str)
@pytest.mark.parametrize("backend", ["grpc", "sidecar"])
def test_a_backend_is_where_all_chains_run(tmp_path: Path, backend: str, processors: tuple[str, ...]) -> None:
    answer = compiled("--backend", backend, "--write", tmp_path / "out", spec=echo_for(tmp_path, *processors))
    assert answer.exit_code == 0, answer.output
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert {it["processor"] for chain in plan["chains"] for it in chain["segments"]} == {backend}


def test_a_backend_that_a_chain_is_not_written_for() -> None:
    answer = compiled("--backend", "grpc")
    assert answer.exit_code == 2
    assert "error[C025]: the chain on `frontend->server` echo is not to run on `grpc`" in answer.stderr
    assert "add `grpc` to the processors" in answer.stderr


def test_programs_in_go_get_their_chains_and_are_told_how_to_take_them(tmp_path: Path) -> None:
    arguments = ("--backend", "grpc", "--collector", "otel:4318", "--write", tmp_path / "out")
    answer = compiled(*arguments, spec=echo_for(tmp_path))
    assert answer.exit_code == 0, answer.output
    chains = tmp_path / "out" / "chains"
    found = {it.relative_to(chains).as_posix(): it for it in chains.rglob("*.chains")}
    assert found.keys() == {"frontend/frontend.server.client.chains", "server/frontend.server.server.chains"}
    version = read_chains(found["server/frontend.server.server.chains"].read_bytes())
    assert (version.client, version.server, version.at_server) == ("frontend", "server", True)
    assert version.records == "otel:4318"
    told = (chains / "README.md").read_text()
    assert "// in server, called by frontend\n" in told
    assert "APPNET_TRUSTED_KEYS=KEY" in told
    assert 'appnet.Dial("frontend", appnet.Embedded(chains))' in told
    assert 'appnet.Serve("server", appnet.Embedded(chains))' in told
    answer = compiled("--backend", "sidecar", "--write", tmp_path / "out", spec=echo_for(tmp_path))
    assert answer.exit_code == 0, answer.output
    assert not list(chains.rglob("*.*")), "what an earlier compilation wrote for programs is gone"


def test_a_compose_file_has_no_containers_for_what_runs_in_programs(tmp_path: Path) -> None:
    answer = compiled("--backend", "grpc", "--to", "compose", "--write", tmp_path / "out", spec=echo_for(tmp_path))
    assert answer.exit_code == 1
    words = " ".join(answer.stderr.split())
    assert words.startswith(
        "error: server has its chains in its own program, and there is no container for them: take "
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "linkerd"], "not a backend"),
        (["--opt_level", "some"], "some"),
        (["--opt_algorithm", "luck"], "luck"),
        (["--collector", "nowhere"], "host:port"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], words: str) -> None:
    answer = compiled(*arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr


def test_what_is_wrong_with_a_specification_is_told() -> None:
    answer = compiled(spec="tests/application/bad/specs/no_such_method.yaml")
    assert answer.exit_code == 2
    assert "did you mean `echo`?" in answer.stderr
