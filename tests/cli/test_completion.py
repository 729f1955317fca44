"""Completion in real shells: each reads the script that AppNet gives for it, and completes what is typed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE_SECONDS = 60.0
BEGIN = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
READ = {
    "bash": "source ./script; bind 'set completion-query-items 0'; PS1='> '",
    "zsh": "autoload -U compinit; compinit -D; source ./script; PS1='> '; unsetopt prompt_sp",
}


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a shell that is there, in a folder with its script and files to complete."""
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"no {name} on the PATH: install it to try completion in it")
    program = tmp_path / "bin" / "appnetctl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom appnet.cli.main import main\nmain()\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("firewall.appnet").write_text("")
    with Path("script").open("w") as script:
        subprocess.run([program, "completion", name], stdout=script, check=True)
    return name


def completed(shell: str, typed: str, expected: list[str]) -> str:
    """What a person sees who types this and then the tabulator, twice; waits for what is ``expected``."""
    if shell == "fish":
        told = subprocess.run(
            ["fish", "--no-config", "-c", f"source ./script; complete -C '{typed}'"],
            capture_output=True,
            text=True,
            check=True,
        )
        return told.stdout
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(shell, BEGIN[shell], {**os.environ, "TERM": "dumb"})
    try:
        os.write(terminal, f"{READ[shell]}; echo read''y\n".encode())
        seen = _until(terminal, ["ready"])
        os.write(terminal, typed.encode() + b"\t")
        time.sleep(1)
        os.write(terminal, b"\t")
        return seen.partition("ready")[2] + _until(terminal, expected)
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def _until(terminal: int, words: list[str]) -> str:
    seen, deadline = "", time.monotonic() + PATIENCE_SECONDS
    while not all(it in seen for it in words):
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("appnetctl chec", ["check"]),
        ("appnetctl plan --opt-a", ["--opt-algorithm"]),
        ("appnetctl plan -o ", ["text", "json", "yaml"]),
        ("appnetctl check --target ", ["native", "wasm"]),
        ("appnetctl show fire", ["firewall.appnet"]),
    ],
)
def test_what_is_typed_is_completed(shell: str, typed: str, expected: list[str]) -> None:
    seen = completed(shell, typed, expected)
    assert [it for it in expected if it not in seen] == [], seen
