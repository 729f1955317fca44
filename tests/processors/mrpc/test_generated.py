"""What `compile --backend mrpc` writes: bundles, programs of the shell that pass shellcheck and work, and a README."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from appnet.application.model import Side
from appnet.cli.main import app
from appnet.processors.mrpc.bundles import heading
from tests.processors.mrpc.crate import NEEDS_CARGO
from tests.processors.mrpc.generated import ROOT, generated
from tests.processors.mrpc.phoenix import Phoenix, Program

ENDS = {
    "echo": {"frontend_server/client", "frontend_server/server"},
    "hotel": {
        *("frontend_search/client", "frontend_reservation/client", "frontend_reservation/server", "search_geo/client"),
        *("search_rate/client", "search_rate/server"),
    },
}
EXAMPLES = ROOT / "examples" / "chain"


@pytest.fixture(scope="module", params=sorted(ENDS))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, generated(request.param, tmp_path_factory.mktemp(request.param))


def compiled(*arguments: object) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["compile", *map(str, arguments)])
    return answer.exit_code, answer.output


def test_each_end_has_its_bundle_and_layouts(written: tuple[str, Path]) -> None:
    name, folder = written
    bundles = {it.parent.relative_to(folder).as_posix(): heading(it.read_bytes()) for it in folder.rglob("chain.mrpc")}
    assert set(bundles) == ENDS[name]
    assert {place: it.side for place, it in bundles.items()} == {it: Side(it.rpartition("/")[2]) for it in ENDS[name]}
    for place, it in bundles.items():
        assert it.name.startswith(f"appnet.{place.partition('/')[0]}.")
        layouts = json.loads((folder / place / "layouts.json").read_text())
        assert layouts["methods"]
        assert all(field["offset"] % 4 == 0 for message in layouts["messages"] for field in message["fields"])


def test_shellcheck_finds_nothing(written: tuple[str, Path]) -> None:
    name, folder = written
    programs = sorted(folder.rglob("*.sh"))
    assert len(programs) == 3 + 3 * len(ENDS[name])
    assert all(os.access(it, os.X_OK) for it in programs)
    shellcheck = shutil.which("shellcheck", path=Path(sys.executable).parent)
    assert shellcheck is not None
    found = subprocess.run([shellcheck, *programs], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_readme_and_the_mark_name_what_is_there(written: tuple[str, Path]) -> None:
    name, folder = written
    readme = (folder / "README.md").read_text()
    assert all(f"* `{it}`: the program of" in readme for it in ENDS[name])
    there = {it.relative_to(folder).as_posix() for it in folder.rglob("*") if it.is_file()}
    assert set(yaml.safe_load((folder / "order.yaml").read_text())["written"]) == there


@NEEDS_CARGO
def test_the_programs_attach_upgrade_and_detach(tmp_path: Path) -> None:
    folder = generated("echo", tmp_path)
    socket = tmp_path / "phoenix"
    socket.mkdir()
    running = Phoenix(socket, Program(41, 1), Program(41, 2), Program(42, 1))
    for program, stops in (("attach", 3), ("upgrade", 3), ("detach", 2)):
        given = ["frontend=40", "frontend_server/client=41/2", "server=42"]
        answer = _run(folder / f"{program}_all.sh", *given, socket=socket)
        assert answer.returncode == 0, answer.stderr
        assert len(answer.stdout.splitlines()) == 2
        assert [len(running.stops(*it) or ()) for it in ((41, 1), (41, 2), (42, 1))] == [2, stops, stops]
    assert _run(folder / "attach_all.sh", "server=42", socket=tmp_path).returncode == 1, "no Phoenix"
    missing = _run(folder / "attach_all.sh", socket=socket)
    assert (missing.returncode, "say the process of server: server=PID" in missing.stderr) == (2, True)
    wrong = _run(folder / "frontend_server" / "client" / "attach.sh", socket=socket)
    assert (wrong.returncode, wrong.stderr.endswith("attach.sh PID [SID]\n")) == (2, True)


def _run(program: Path, *arguments: str, socket: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PHOENIX_PREFIX": str(socket), "PYTHONPATH": str(ROOT / "src")}
    command = [program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_hotel_application_as_it_is_needs_more_than_mrpc_has(tmp_path: Path) -> None:
    code, output = compiled("--spec", EXAMPLES / "hotel.yaml", "--backend", "mrpc", "-w", tmp_path / "gen")
    assert code == 2
    refused = {line.split("`")[1] for line in output.splitlines() if line.startswith("error[C095]")}
    assert refused == {
        *("admission_control", "stay_dates", "room_limit", "timeout", "on_earth", "circuit_breaker", "retry_budget")
    }
    assert not (tmp_path / "gen").exists()


def test_several_modules_at_one_end_are_refused(tmp_path: Path) -> None:
    options = ["--backend", "mrpc", "--opt-level", "no", "-w", tmp_path / "gen"]
    code, output = compiled("--spec", EXAMPLES / "echo.yaml", *options)
    assert (code, "error[C096]: an engine runs one module, and `frontend->server` has 2" in output) == (2, True)


def test_an_application_that_is_on_mrpc_alone(tmp_path: Path) -> None:
    text = (ROOT / "config" / "samples" / "echo" / "sample_echo_sidecar.yaml").read_text()
    shutil.copytree(ROOT / "config" / "samples" / "echo", tmp_path / "echo")
    config = tmp_path / "echo" / "sample_echo_sidecar.yaml"
    config.write_text(text.replace("- sidecar", "- mrpc"))
    assert compiled(config, "--backend", "mrpc", "--dry-run")[0] == 0
    code, output = compiled(config, "--dry-run")
    assert (code, "error[C097]: no Kubernetes object sets up engines of mRPC" in output) == (2, True)
    config.write_text(text.replace("- sidecar", "- mrpc\n    - sidecar"))
    code, output = compiled(config, "--dry-run")
    assert (code, "kubernetes/" in output) == (0, True), "no proxy sees mRPC's calls: it is the one or the other"
