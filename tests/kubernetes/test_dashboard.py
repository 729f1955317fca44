"""The buttons of the controller's dashboard, against a real API server, controller and sidecars."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.kubernetes import test_commands
from tests.kubernetes.cluster import await_
from tests.kubernetes.control import STATUS
from tests.kubernetes.test_commands import Commands
from tests.kubernetes.test_controller import NAME

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

TOKEN = "s3cret"
controlled, echo, commands = test_commands.controlled, test_commands.echo, test_commands.commands


def press(action: str, token: str = TOKEN) -> tuple[int, str]:
    """What a button of the dashboard brings."""
    url = f"http://127.0.0.1:{STATUS}/dashboard/act?application=default/echo&action={action}"
    request = urllib.request.Request(url, method="POST", headers={"X-AppNet-Token": token})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_dashboard_changes_rollouts_as_the_command_does(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    commands.controlled.stop()
    commands.controlled.start("--dashboard-token-file", str(tmp_path / "token"))
    commands.bring("test")
    second = commands.bring("other")
    assert press("pause", "another") == (403, "this is not the token\n")
    assert press("promote") == (409, f"no canary of {NAME} runs: there is nothing to promote\n")
    assert press("pause") == (200, f"the rollout of {NAME} is paused: later changes wait\n")
    assert commands.data("rollout", "status", NAME)["paused"] is True
    assert press("resume")[0] == 200
    code, told = press("undo")
    assert code == 200, told
    assert told.startswith(f"default/{NAME} is written as in version ")
    await_("the version before runs", lambda: commands.refuses("test"), 20)
    assert commands.data("rollout", "status", NAME)["version"] != second
    assert "rollout undo from the dashboard" in commands.controlled.log()
