"""`-o`: what each command prints, as one document of data; JSON and YAML say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from appnet.cli.main import app

ECHO = Path("config/samples/echo")
CONFIG = str(ECHO / "sample_echo_sidecar.yaml")
ELEMENT = str(ECHO / "firewall.appnet")
LIMIT = "config/samples/elements/rate_limit.appnet"
COMMANDS = [
    ["check", "tests/application/bad/no_such_service.yaml"],
    ["test", LIMIT, "--target", "interpreter"],
    ["trace", LIMIT],
    ["show", ELEMENT, "--what", "table", "--what", "c"],
    ["element", "--element", ELEMENT, "--proto", str(ECHO / "echo.proto"), "--method", "echo"],
    ["explain-code", "E014", "C001"],
    ["plan", CONFIG],
    ["explain", CONFIG],
    ["compile", CONFIG, "--dry-run"],
    ["schema", "local"],
    ["verify"],
    ["version"],
]


def appnetctl(arguments: list[str], folder: Path) -> Result:
    more = ["-w", str(folder / "out")] if arguments[0] == "element" else []
    return CliRunner().invoke(app, [*arguments, *more])


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda it: it[0])
def test_json_and_yaml_say_the_same(arguments: list[str], tmp_path: Path) -> None:
    text, as_json, as_yaml = (appnetctl([*arguments, "-o", it], tmp_path) for it in ("text", "json", "yaml"))
    assert as_json.stdout != as_yaml.stdout
    found = json.loads(as_json.stdout)
    assert found
    assert yaml.safe_load(as_yaml.stdout) == found
    assert [it.exit_code for it in (as_json, as_yaml)] == [text.exit_code] * 2


def test_state_is_data_and_codes_are_names(tmp_path: Path) -> None:
    behaviour = tmp_path / "seen.behaviour.yaml"
    (tmp_path / "seen.appnet").write_text(
        "state:\n    seen: Map<string, Instant>\n\ninit():\n    pass\n\n"
        "req(rpc):\n    set(seen, get(rpc, 'Body'), current_time())\n    send(err('no', NOT_FOUND), Up)\n\n"
        "resp(rpc):\n    send(rpc, Up)\n"
    )
    cases = f"proto: {Path(ECHO / 'echo.proto').absolute()}\nmethod: echo\ncases:\n  - name: it\n    steps:\n"
    behaviour.write_text(f"{cases}      - request: {{Body: a}}\n        refuses: ABORTED no\n")
    (event,) = json.loads(appnetctl(["trace", str(behaviour), "-o", "json"], tmp_path).stdout)
    assert event["handlers"][0]["state"] == {"seen": {"before": {}, "after": {"a": 0.0}}}
    assert event["outcome"] == {"refuses": {"status": "NOT_FOUND", "message": "no"}}
    tried: Any = json.loads(
        appnetctl(["test", str(behaviour), "--target", "interpreter", "-o", "json"], tmp_path).stdout
    )
    (failure,) = tried[0]["failures"]
    assert (failure["expected"]["refuses"]["status"], failure["got"]["refuses"]["status"]) == ("ABORTED", "NOT_FOUND")
