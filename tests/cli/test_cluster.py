"""Commands for clusters where their libraries are missing, or no cluster is configured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app

COMMANDS = [
    ["apply", "config/samples/echo/sample_echo_sidecar.yaml"],
    ["get"],
    ["describe", "it"],
    ["rollout", "status", "it"],
    ["logs"],
    ["top"],
    ["delete", "it"],
    ["uninstall", "--yes"],
    ["verify", "--cluster"],
]


@pytest.mark.parametrize("typed", COMMANDS, ids=lambda it: it[0])
def test_without_the_extra_they_say_what_brings_it(typed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "appnet.deploy.kubernetes.client.connection", raising=False)
    for it in [name for name in sys.modules if name.partition(".")[0] == "lightkube"]:
        monkeypatch.delitem(sys.modules, it)
    monkeypatch.setitem(sys.modules, "lightkube", None)
    answer = CliRunner().invoke(app, typed)
    assert answer.exit_code == 1
    assert answer.stderr == "error: lightkube is not installed: pip install 'appnet[controller]' brings it\n"


@pytest.mark.parametrize("typed", COMMANDS, ids=lambda it: it[0])
def test_without_a_cluster_they_say_so(typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightkube", reason="pip install 'appnet[controller]' brings it")
    file = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(file))
    answer = CliRunner().invoke(app, typed)
    assert answer.exit_code == 1
    assert answer.stderr == f"error: no cluster: KUBECONFIG names {file}, and there is no such file\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clusters: []\ncontexts: []\n", "No current context set"),
        ("clusters: [", "while parsing a flow node"),
        ("{}", "the kubeconfig is not as kubectl writes them"),
        ("", "the kubeconfig is not as kubectl writes them"),
    ],
)
def test_what_is_no_kubeconfig(text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightkube", reason="pip install 'appnet[controller]' brings it")
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    answer = CliRunner().invoke(app, ["get"])
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: no cluster: ")
    assert told in answer.stderr
    assert "set KUBECONFIG to the file that says how to reach one" in answer.stderr


def test_several_kubeconfigs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightkube", reason="pip install 'appnet[controller]' brings it")
    monkeypatch.setenv("KUBECONFIG", "a:b")
    answer = CliRunner().invoke(app, ["get"])
    assert answer.exit_code == 1
    assert answer.stderr == "error: no cluster: KUBECONFIG names several files; name the one that has the cluster\n"
