"""What commands say of shared state: where it lives, why, and which processors do not share it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app

QUOTA = "config/samples/shared/global_quota.appnet"
WHERE = "shared, a key at a time, known in part: declared strong, and handlers read and change it"


def said(*arguments: str) -> tuple[str, str]:
    answer = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    return answer.stdout, answer.stderr


@pytest.fixture
def sample(tmp_path: Path) -> str:
    """The echo application, with a quota for all proxies in the place of its fault injection."""
    shutil.copytree("config/samples", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "echo" / "sample_echo_sidecar.yaml"
    text = file.read_text().replace(
        "- name: fault\n      file: fault", "- name: quota\n      file: ../shared/global_quota"
    )
    file.write_text(text)
    return str(file)


def test_show_says_where_each_variable_lives() -> None:
    assert WHERE in said("show", QUOTA, "--what", "states")[0]
    states = json.loads(said("show", QUOTA, "--what", "states", "-o", "json")[0])["states"]
    assert states["used"]["sharing"] == "shared"
    assert (states["used"]["sharded"], states["used"]["part"]) == (True, 65_536)
    assert states["limit"] == {
        "type": "int",
        "class": "read-only",
        "sharing": "local",
        "because": "no `@consistency` is declared",
    }


def test_an_element_without_shared_state_has_no_column_for_it() -> None:
    assert "between instances" not in said("show", "config/samples/elements/cache.appnet", "--what", "states")[0]


def test_explain_says_it_of_an_application(sample: str) -> None:
    assert f"quota.used: {WHERE}" in said("explain", "-v", sample)[0]


@pytest.mark.parametrize("target", ["wasm", "native"])
def test_what_a_processor_does_not_share_is_told(sample: str, target: str) -> None:
    assert "W004" not in " ".join(said("check", sample, "--target", target))
    told = said("compile", "--dry-run", sample, "--target", target)
    title = f"`quota` shares state between instances, which is not supported on {target}: each instance keeps its own `used`"
    assert title in " ".join(told)
