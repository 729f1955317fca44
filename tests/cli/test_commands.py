"""`appnetctl` as it is typed: output and exit codes of what needs no proxy."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from appnet.cli.main import app
from appnet.optimize.prices import write_prices
from appnet.processors import registry
from appnet.processors.envoy.targets import TARGETS
from appnet.processors.processor import Requirement, Target
from tests.support.prices import DEFAULT

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "config" / "samples" / "echo"
ELEMENTS = ROOT / "config" / "samples" / "elements"
BAD = ROOT / "tests" / "application" / "bad"
CONFIG = ECHO / "sample_echo_sidecar.yaml"


def appnetctl(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(it) for it in arguments])


def test_verify_finds_what_sidecars_need() -> None:
    answer = appnetctl("verify")
    assert answer.exit_code == 0
    lines = {line.split("  ")[0]: line for line in answer.stdout.splitlines()}
    assert "1.40.0" in lines["Envoy"]
    assert lines["Envoy"].split()[2] == "sidecar"
    assert "nothing is missing" in lines
    assert "ambient" not in answer.stdout, "nobody asked for it"


def test_verify_fails_and_tells_the_remedy_where_a_part_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = registry.processor("sidecar")
    parts = [it for it in sidecar.parts if it.name != "Envoy"]
    monkeypatch.setattr(sidecar, "parts", (*parts, Requirement("Envoy", lambda: None, "fetch it")))
    answer = appnetctl("verify")
    assert answer.exit_code == 1
    assert "fetch it" in answer.stdout
    assert answer.stdout.endswith("missing: Envoy\n")


def test_verify_of_an_application_finds_its_programs(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text())
    assert appnetctl("verify", tmp_path / CONFIG.name).exit_code == 0
    local = tmp_path / "local.yaml"
    local.write_text(local.read_text().replace("command: python -m appnet.samples.echo server", "command: sever"))
    answer = appnetctl("verify", tmp_path / CONFIG.name, "-o", "json")
    assert answer.exit_code == 1
    found = json.loads(answer.stdout)
    assert not found["ready"]
    assert [(it["name"], it["needed_by"]) for it in found["parts"] if not it["found"]] == [("sever", "server")]
    assert appnetctl("verify").exit_code == 0


def test_verify_does_not_fail_for_parts_of_a_processor_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appnet.cli.commands.verify.USUAL_PROCESSOR", "another")
    sidecar = registry.processor("sidecar")
    monkeypatch.setattr(sidecar, "parts", (Requirement("Envoy", lambda: None, "fetch it"),))
    answer = appnetctl("verify")
    assert answer.exit_code == 0
    assert "missing (optional)" in answer.stdout
    assert "fetch it" in answer.stdout


def test_check_of_everything_in_the_sample() -> None:
    files = [it for it in sorted(ECHO.iterdir()) if it.suffix in {".appnet", ".proto"}]
    answer = appnetctl("check", *files, ECHO / "sample_echo_sidecar.yaml")
    assert answer.exit_code == 0, answer.output
    assert "6 files: 0 errors, 0 warnings" in answer.stdout


def test_check_shows_diagnostics_on_standard_error() -> None:
    answer = appnetctl("check", BAD / "no_such_service.yaml")
    assert answer.exit_code == 2
    assert "error[C040]: no service `sever`" in answer.stderr
    assert "did you mean `server`?" in answer.stderr
    assert "1 file: 1 error, 0 warnings" in answer.stdout


def test_check_as_json() -> None:
    answer = appnetctl("check", "-o", "json", BAD / "no_such_service.yaml", BAD / "same_service.yaml")
    assert answer.exit_code == 2
    found = json.loads(answer.stdout)
    assert [(it["code"], it["line"], it["severity"]) for it in found] == [("C040", 10, "error"), ("C041", 10, "error")]
    assert found[0]["file"].endswith("no_such_service.yaml")
    assert found[0]["end_column"] - found[0]["column"] == len("sever")
    assert found[0]["places"] == []
    (place,) = found[1]["places"]
    assert (place["label"], place["file"], place["line"]) == ("the client is here", found[1]["file"], 9)


def test_help_of_check_says_where_codes_are_explained() -> None:
    assert "appnetctl explain-code CODE" in appnetctl("check", "--help").stdout


def test_check_of_an_element_by_a_method_that_is_named(tmp_path: Path) -> None:
    limit = tmp_path / "limit.appnet"
    limit.write_text((BAD / "parts" / "limit.appnet").read_text())
    assert appnetctl("check", limit).exit_code == 0
    assert appnetctl("check", limit, "--proto", ECHO / "echo.proto").exit_code == 0
    assert "C063" in appnetctl("show", limit).stderr
    answer = appnetctl("check", limit, "--proto", ECHO / "echo.proto", "--method", "eco")
    assert answer.exit_code == 2
    assert "error[C051]: no method `eco`" in answer.stderr
    answer = appnetctl("check", limit, "--method", "echo")
    assert answer.exit_code == 2
    assert "add --proto FILE" in answer.stderr


def test_check_of_an_element_by_the_configuration_beside_it(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text())
    element = tmp_path / "firewall.appnet"
    element.write_text(element.read_text().replace("'Body'", "'bodi'"))
    answer = appnetctl("check", element)
    assert answer.exit_code == 2
    assert "error[E014]" in answer.stderr


def test_an_absent_file_is_a_diagnostic() -> None:
    for name in ("nothing.yaml", "nothing.proto"):
        answer = appnetctl("check", name)
        assert answer.exit_code == 2
        assert f"no file {name}" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--opt-level", "most"], "'most' is not one of no, ignore, weak, strong"),
        (["--opt-level", "strnog"], "; did you mean `strong`?"),
        (["--target", "lua"], "lua"),
        (["--port", "70000"], "'70000' is not a whole number from 0 to 65535"),
        (["--port", "abc"], "'abc' is not a whole number from 0 to 65535"),
    ],
)
def test_run_refuses_options(arguments: list[str], says: str) -> None:
    answer = appnetctl("run", ECHO / "sample_echo_sidecar.yaml", *arguments)
    assert answer.exit_code == 2
    assert says in " ".join(answer.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compile", CONFIG, "--replica", "0"], "'0' is not a whole number of at least 1"),
        (["show", ECHO / "fault.appnet", "--what", "tabel"], "did you mean `table`?"),
        (["test", "--target", "wasn"], "is not one of interpreter, library, native, wasm, all; did you mean `wasm`?"),
        (["run", CONFIG, "--max-message", "2 TB"], "'2 TB' is not a size from 1 byte to 1 GiB"),
        (["run", CONFIG, "--idle-timeout", "soon"], "'soon' is not a time up to 365 days"),
        (["init", "--sample", "eco"], "'eco' is not one of echo, hotel, cookbook; did you mean `echo`?"),
    ],
)
def test_values_that_options_do_not_take(arguments: list[str | Path], says: str) -> None:
    answer = appnetctl(*arguments)
    assert answer.exit_code == 2
    assert says in answer.stderr
    assert "Input should" not in answer.stderr


def test_run_refuses_wasm_proxies_of_several_workers_where_elements_need_one(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text())
    (tmp_path / "fault.appnet").write_text((ELEMENTS / "rate_limit.appnet").read_text())
    answer = appnetctl(
        "run", tmp_path / "sample_echo_sidecar.yaml", "--target", "wasm", "--concurrency", "2", "--opt-level", "no"
    )
    assert answer.exit_code == 2
    assert "error[C064]: `fault` keeps one state for all workers, which is not supported on wasm" in answer.stderr
    assert "--concurrency 1" in answer.stderr
    assert answer.stderr.count("each worker would have its own") == 2


def test_check_notes_what_a_target_keeps_and_gives_up() -> None:
    arguments = ("--proto", ECHO / "echo.proto", "--target", "wasm", "-o", "json")
    answer = appnetctl("check", ELEMENTS / "mirror.appnet", ELEMENTS / "acl.appnet", *arguments)
    assert answer.exit_code == 0
    found = json.loads(answer.stdout)
    assert [(it["code"], it["severity"]) for it in found] == [("N001", "note"), ("N002", "note")]
    answer = appnetctl("check", ECHO / "sample_echo_sidecar.yaml", "--target", "wasm")
    assert answer.stdout.endswith("1 file: 0 errors, 0 warnings, 4 notes\n")
    answer = appnetctl("check", ELEMENTS / "acl.appnet", "--target", "wasm", "-o", "json")  # by its behaviour file
    assert [it["code"] for it in json.loads(answer.stdout)] == ["N002"]


def test_check_tells_what_an_element_needs_and_a_target_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("check", ELEMENTS / "cache.appnet", "--proto", ECHO / "echo.proto", "--target", "wasm")
    assert appnetctl(*arguments).exit_code == 0
    monkeypatch.setitem(TARGETS, "wasm", Target("wasm", "wasm", gives=frozenset(), alone=frozenset()))
    answer = appnetctl(*arguments)
    assert answer.exit_code == 2
    assert "error[C068]: `cache` replies, which is not supported on wasm" in answer.stderr


def test_run_tells_what_is_wrong_with_a_configuration_before_it_starts_anything() -> None:
    answer = appnetctl("run", BAD / "processor_unknown.yaml")
    assert answer.exit_code == 2
    assert "unknown processor" in answer.stderr


def test_run_tells_that_nobody_starts_engines_of_mrpc(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text())
    config = tmp_path / "sample_echo_sidecar.yaml"
    config.write_text(config.read_text().replace("- sidecar", "- mrpc"))
    answer = appnetctl("run", config)
    assert answer.exit_code == 1
    assert "nobody starts engines of mRPC: they join programs that run" in " ".join(answer.stderr.split())


def test_run_refuses_an_application_without_programs(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text())
    (tmp_path / "local.yaml").unlink()
    answer = appnetctl("run", tmp_path / "sample_echo_sidecar.yaml")
    assert answer.exit_code == 2
    assert "error[C061]: `server` does not run here" in answer.stderr
    assert "`--upstream server=127.0.0.1:50051`" in " ".join(answer.stderr.split())


@pytest.mark.parametrize("upstream", ["server", "=127.0.0.1:1", "server=127.0.0.1", "server=127.0.0.1:0", "server=:1"])
def test_run_takes_addresses_of_services(upstream: str) -> None:
    answer = appnetctl("run", ECHO / "sample_echo_sidecar.yaml", "--upstream", upstream)
    assert answer.exit_code == 2
    assert "is not SERVICE=HOST:PORT, such as server=127.0.0.1:50051" in " ".join(
        answer.stderr.replace("│", " ").split()
    )


def test_a_call_of_the_application_file_names_a_method_and_fields_that_are_there(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text())
    local = (ECHO / "local.yaml").read_text()
    for was, becomes, says in (
        ("method: echo", "method: ehco", "error[C050]: `frontend` does not call the method `ehco`"),
        ("sends: {Body: hello}", "sends: {Bdoy: hello}", "error[C074]: echo.Msg has no field `Bdoy`"),
        ("prints: Body", "prints: Bdoy", "error[C074]: echo.Msg has no field `Bdoy`"),
    ):
        (tmp_path / "local.yaml").write_text(local.replace(was, becomes))
        answer = appnetctl("run", tmp_path / "sample_echo_sidecar.yaml")
        assert answer.exit_code == 2
        assert says in answer.stderr


def test_show_is_the_compilers_view() -> None:
    answer = appnetctl("show", ECHO / "metrics.appnet")
    assert answer.exit_code == 0
    assert "metrics: effects" in answer.stdout
    assert "rpc-scoped" in answer.stdout
    assert "time_diff(current_time(), began)" in " ".join(answer.stdout.split())
    assert "appnet_program" not in answer.stdout


def test_show_of_the_generated_code_alone() -> None:
    answer = appnetctl("show", ECHO / "firewall.appnet", "--what", "c")
    assert answer.exit_code == 0
    assert "appnet_program" in answer.stdout
    assert "effects" not in answer.stdout


def test_show_of_a_broken_element(tmp_path: Path) -> None:
    (tmp_path / "broken.appnet").write_text("state:\n")
    answer = appnetctl("show", tmp_path / "broken.appnet", "--proto", ECHO / "echo.proto", "--method", "echo")
    assert answer.exit_code == 2
    assert "error[E003]" in answer.stderr


def test_show_takes_an_element_as_its_behaviour_file_does(tmp_path: Path) -> None:
    answer = appnetctl("show", ELEMENTS / "rate_limit.appnet", "--what", "states")
    assert answer.exit_code == 0, answer.output
    assert "tokens" in answer.stdout
    answer = appnetctl("show", tmp_path / "none.appnet")
    assert answer.exit_code == 2
    assert "error[C063]" not in answer.stderr
    assert "none.appnet" in answer.stderr


def test_parameters_without_a_default_are_given_by_option(tmp_path: Path) -> None:
    limit = tmp_path / "limit.appnet"
    limit.write_text((BAD / "parts" / "limit.appnet").read_text())
    method = ("--proto", ECHO / "echo.proto", "--method", "echo")
    answer = appnetctl("show", limit, *method)
    assert answer.exit_code == 2
    assert "--parameter" in answer.stderr
    answer = appnetctl("show", limit, *method, "--what", "c", "--parameter", "body=seen: it")
    assert answer.exit_code == 0, answer.output
    assert "seen: it" in answer.stdout
    options = ["--element", limit, "--proto", ECHO / "echo.proto", "--method_name", "echo", "-w", tmp_path / "out"]
    assert appnetctl("element", *options).exit_code == 2
    assert appnetctl("element", *options, "--parameter", "body=x", "-v").exit_code == 0
    answer = appnetctl("show", limit, *method, "--parameter", "body")
    assert answer.exit_code == 2
    assert "'body' is not NAME=VALUE" in answer.stderr


def test_the_element_compiler_as_the_guide_calls_it(tmp_path: Path) -> None:
    command = [sys.executable, "compiler/", "--element", ECHO / "fault.appnet", "--backend", "envoy"]
    command += ["--placement", "client", "--proto", ECHO / "echo.proto", "--method_name", "echo", "-v", "-w", tmp_path]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout[run.stdout.index("{") :])
    assert found["request"]["uses_random"]
    assert found["request"]["can_refuse"]
    assert not found["response"]["can_refuse"]
    assert found["state"]["prob"]["class"] == "read-only"
    assert sorted(it.name for it in tmp_path.iterdir()) == [
        "fault.c",
        "fault.chain",
        "fault.json",
        "fault.so",
        "fault.wasm",
    ]
    assert (tmp_path / "fault.wasm").read_bytes().startswith(b"\0asm")
    assert json.loads((tmp_path / "fault.json").read_text()) == found
    assert "randomf" in run.stdout


def test_the_element_compiler_without_such_a_backend() -> None:
    options = ["--element", ECHO / "fault.appnet", "--proto", ECHO / "echo.proto", "--method_name", "echo"]
    answer = appnetctl("element", *options, "--backend", "x")
    assert answer.exit_code == 2
    assert "is not a backend" in answer.stderr


def test_fmt_rewrites_what_is_not_in_the_canonical_layout(tmp_path: Path) -> None:
    neat = (ECHO / "fault.appnet").read_text()
    good, messy, broken = tmp_path / "good.appnet", tmp_path / "messy.appnet", tmp_path / "broken.appnet"
    good.write_text(neat)
    messy.write_text(neat.replace("    ", "\t"))
    broken.write_text("state:\n")
    answer = appnetctl("fmt", "--check", good)
    assert (answer.exit_code, answer.output) == (0, "")
    answer = appnetctl("fmt", "--check", good, messy)
    assert (answer.exit_code, answer.output) == (1, f"would reformat {messy}\n")
    answer = appnetctl("fmt", "--diff", messy)
    assert answer.exit_code == 1
    assert f"--- a{messy}" in answer.stdout
    assert messy.read_text() != neat
    answer = appnetctl("fmt", messy, broken)
    assert answer.exit_code == 2
    assert "error[E003]" in answer.stderr
    assert (messy.read_text(), broken.read_text()) == (neat, "state:\n")


def test_fmt_rewrites_the_older_syntax_when_told_to(tmp_path: Path) -> None:
    older = tmp_path / "older.appnet"
    text = "state {}\nfn init() {}\nfn req(rpc) { send(rpc, NET); } // on\nfn resp(rpc) { send(rpc, APP); }\n"
    older.write_text(text)
    answer = appnetctl("fmt", older)
    assert answer.exit_code == 2
    assert "error[E006]" in answer.stderr
    assert older.read_text() == text
    assert appnetctl("fmt", "--upgrade", older).exit_code == 0
    assert older.read_text().endswith("req(rpc):\n    send(rpc, Down)\n\n// on\nresp(rpc):\n    send(rpc, Up)\n")
    assert appnetctl("check", older).exit_code == 0


def test_check_reads_behaviour_files_too() -> None:
    good = ROOT / "config" / "samples" / "echo" / "sample_echo_sidecar.behaviour.yaml"
    assert appnetctl("check", good).exit_code == 0
    answer = appnetctl("check", ROOT / "tests" / "behaviour" / "bad" / "steps.behaviour.yaml")
    assert answer.exit_code == 2
    assert "error[C072]: no call is open" in answer.stderr


def test_explain_and_plan_say_the_same(tmp_path: Path) -> None:
    answer = appnetctl("explain", CONFIG, "--opt-level", "weak", "--svg", tmp_path / "edge.svg")
    assert answer.exit_code == 0
    assert "as written   client: fault | logging | metrics\n               server: firewall\n" in answer.stdout
    assert (tmp_path / "edge.svg").read_text().startswith("<svg")
    explained = json.loads(appnetctl("explain", CONFIG, "--opt-level", "weak", "-o", "json").stdout)
    planned = json.loads(appnetctl("plan", CONFIG, "--opt-level", "weak", "-o", "json").stdout)
    (chain,), (why,) = planned["chains"], explained["chains"]
    assert {it["side"]: it["elements"] for it in chain["segments"]} == why["planned"]


def test_explain_begins_with_what_fits_a_screen() -> None:
    brief, whole = (appnetctl("explain", *more, CONFIG).stdout for more in ((), ("-v",)))
    assert brief.splitlines()[-2:] == ["    order kept for 5 pairs", "use -v for the reasons, pair by pair"]
    assert len(brief.splitlines()) < 10
    assert whole.splitlines()[:3] == brief.splitlines()[:3]
    assert "fault, logging: the order makes a difference" in whole


def test_applications_are_explained_chain_by_chain(tmp_path: Path) -> None:
    hotel = ROOT / "examples" / "chain" / "hotel.yaml"
    profile = tmp_path / "profile.yaml"
    profile.write_text("edges:\n  search->geo:\n    - {rate: 100, elements: {on_earth: {refused: 0.5}}}\n")
    usual, seen = (
        json.loads(appnetctl("plan", hotel, "-o", "json", *more).stdout) for more in ([], ["--profile", profile])
    )
    edges = ["frontend->search", "frontend->reservation", "frontend->profile", "search->geo", "search->rate"]
    assert [it["edge"] for it in usual["chains"]] == edges
    pairs = zip(usual["chains"], seen["chains"], strict=True)
    cheaper = [after["cost_us"] < before["cost_us"] for before, after in pairs]
    assert cheaper == [False, False, False, True, False]
    assert "cores" in seen["chains"][3]
    assert "cores" not in seen
    answer = appnetctl("explain", "-v", hotel, "--svg", tmp_path / "hotel.svg")
    told = [it for it in answer.stdout.splitlines() if not it.startswith(" ")]
    assert [it.split()[0] for it in told[:-1]] == edges
    assert told[-1].startswith("one RPC on each of 5 chains: ")
    assert "memcached-rate" in (tmp_path / "hotel.svg").read_text()


def test_check_finds_what_is_ours_in_folders(tmp_path: Path) -> None:
    answer = appnetctl("check", ROOT / "config", ROOT / "examples")
    assert answer.exit_code == 0, answer.output
    count = int(answer.stdout.split()[0])
    assert count == len(ours(ROOT / "config")) + len(ours(ROOT / "examples"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "broken.appnet").write_text("state:\n")
    (tmp_path / "deep" / "manifest.yaml").write_text("kind: Service\n")
    answer = appnetctl("check", tmp_path)
    assert answer.exit_code == 2
    assert answer.stdout.startswith("1 file: 1 error")
    assert appnetctl("check", tmp_path / "deep", "-o", "json").stdout.count('"code": ') == 1
    (tmp_path / "empty").mkdir()
    answer = appnetctl("check", tmp_path / "empty")
    assert answer.exit_code == 2
    assert "contains no files for AppNet" in answer.stderr


def ours(folder: Path) -> list[Path]:
    wanted = [*folder.rglob("*.appnet"), *folder.rglob("*.proto"), *folder.rglob("*.behaviour.yaml")]
    wanted += [it for it in folder.rglob("*.yaml") if "\nkind: AppNetConfig\n" in f"\n{it.read_text()}"]
    return [*wanted, *(folder / "chain").glob("*.yaml")]


def test_check_reads_specifications_too(tmp_path: Path) -> None:
    assert appnetctl("check", *sorted((ROOT / "examples" / "chain").glob("*.yaml"))).exit_code == 0
    (tmp_path / "wrong.yaml").write_text("app_name: wrong\n")
    answer = appnetctl("check", tmp_path / "wrong.yaml")
    assert answer.exit_code == 2
    assert "error[C011]: `app_manifest` is missing" in answer.stderr


def test_a_plan_for_traffic_that_was_seen(tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("elements:\n  fault: {refused: 0.9}\n")
    usual, seen = (
        json.loads(appnetctl("plan", CONFIG, "-o", "json", *more).stdout) for more in ([], ["--profile", profile])
    )
    assert seen["cost_us"] < usual["cost_us"] / 2


def test_a_plan_by_measured_prices(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    write_prices(replace(DEFAULT, crossing=1000.0), prices)
    usual, dear = (
        json.loads(appnetctl("plan", CONFIG, "-o", "json", *more).stdout) for more in ([], ["--prices", prices])
    )
    assert dear["cost_us"] > usual["cost_us"] + 900
    for command in ("plan", "explain", "run"):
        answer = appnetctl(command, CONFIG, "--prices", tmp_path / "none.yaml")
        assert answer.exit_code == 2
        assert "error[C001]" in answer.stderr


def test_a_plan_with_a_wrong_profile(tmp_path: Path) -> None:
    answer = appnetctl("plan", CONFIG, "--profile", tmp_path / "none.yaml")
    assert answer.exit_code == 2
    assert "error[C001]" in answer.stderr


def test_check_knows_application_files(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text())
    local = tmp_path / "local.yaml"
    assert appnetctl("check", local).exit_code == 0
    local.write_text(local.read_text().replace("command:", "comand:"))
    for file in (local, tmp_path / "sample_echo_sidecar.yaml"):
        answer = appnetctl("check", file)
        assert answer.exit_code == 2
        assert "error[C010]: unknown key `comand`" in answer.stderr


ROOTED = {
    "api/shop.proto": 'import "acme/item.proto";\nservice Shop { rpc Buy(acme.Item) returns (acme.Item); }\n',
    "vendor/acme/item.proto": "package acme;\nmessage Item { string name = 1; }\n",
    "named.appnet": "state:\n    pass\ninit():\n    pass\nreq(rpc):\n    set(rpc, 'name', 'x')\n    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n",
    "named.behaviour.yaml": "proto: api/shop.proto\nmethod: Buy\ncases:\n"
    "  - name: names\n    steps: [{request: {name: y}, forwards: {name: x}}]\n",
    "echo.yaml": (ECHO / "echo.yaml").read_text(),
    "shop.yaml": "apiVersion: api.core.appnet.io/v1\nkind: AppNetConfig\nmetadata: {name: shop}\nspec:\n"
    "  processors: [sidecar]\n  appName: echo\n  clientService: frontend\n  serverService: server\n  method: Buy\n"
    "  appManifestFile: echo.yaml\n  clientChain: [{name: named, file: named.appnet}]\n  proto: api/shop.proto\n",
}


@pytest.fixture
def rooted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose .proto imports from a root that nothing tells of."""
    for name, text in ROOTED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'syntax = "proto3";\n{text}' if name.endswith(".proto") else text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "check shop.yaml",
        "check named.appnet --proto api/shop.proto",
        "check api/shop.proto",
        "check named.behaviour.yaml",
        "show named.appnet --proto api/shop.proto --method Buy",
        "show named.appnet",
        "element --element named.appnet --proto api/shop.proto --method Buy",
        "plan shop.yaml",
        "explain shop.yaml",
        "compile shop.yaml --dry-run",
        "convert shop.yaml",
        "test named.behaviour.yaml",
        "trace named.behaviour.yaml",
        "run shop.yaml --once",
        "serve shop.yaml",
    ],
)
def test_roots_of_protos_are_given_to_every_command_that_reads_some(command: str, rooted: Path) -> None:
    told = "acme/item.proto"
    name, *rest = command.split()
    assert told in appnetctl(name, *rest).output
    answer = appnetctl(name, *rest, "-I", rooted / "vendor")
    assert told not in answer.output
    if name in {"run", "serve"}:
        assert "C061" in answer.output, "it goes on to what starts the services"
    else:
        assert answer.exit_code == 0, answer.output
    assert told in appnetctl(name, *rest).output, "what one command is given is not the next one's"


def test_roots_of_protos_that_files_name(rooted: Path) -> None:
    (rooted / "shop.yaml").write_text(ROOTED["shop.yaml"] + "  protoRoots: [vendor]\n")
    (rooted / "named.behaviour.yaml").write_text(f"protoRoots: [vendor]\n{ROOTED['named.behaviour.yaml']}")
    for command in ("check .", "test named.behaviour.yaml"):
        answer = appnetctl(*command.split())
        assert answer.exit_code == 0, answer.output
    assert "- vendor" in appnetctl("convert", "shop.yaml").stdout


def test_a_root_of_protos_that_is_no_folder(rooted: Path) -> None:
    for name, told in (("vendr", "vendr is not there: name a folder"), ("shop.yaml", "shop.yaml is a file")):
        answer = appnetctl("check", rooted / "api", "-I", name)
        assert answer.exit_code == 2
        assert told in " ".join(answer.stderr.replace("│", " ").split())
