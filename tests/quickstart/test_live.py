"""`make quickstart` while it stays up: edits, ends, and what is left."""

from __future__ import annotations

import asyncio
import itertools
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appnet.deploy.local.foreseen import CallerAnswer
from tests.quickstart.support import APPNETCTL, Running, gone, judged, left_behind, running, sample

pytestmark = pytest.mark.e2e

NULL = """
state:
    n: int

init():
    pass

req(rpc):
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
REFUSED = CallerAnswer("Echo server returns an error.", 10, "firewall")


def call(it: Running, key: str) -> CallerAnswer:
    """The answer to a call, again where the fault element made it."""
    return asyncio.run(judged(it.url, key))


def edit(file: Path, old: str, new: str) -> None:
    """Saves as editors do: a new file in the place of the old one."""
    text = file.read_text()
    assert old in text
    saved = file.with_name(f".{file.name}.new")
    saved.write_text(text.replace(old, new))
    saved.replace(file)


@pytest.mark.parametrize("target", ["native", "wasm"])
def test_edits(tmp_path: Path, target: str) -> None:
    config = sample(tmp_path)
    firewall = config.with_name("firewall.appnet")
    with running(tmp_path, config, "--target", target) as it:
        it.wait_for("up: curl")
        assert call(it, "evil").status == 0

        edit(firewall, "'test', 'No'", "'evil', 'No'")
        it.wait_for("server-sidecar accepted after")
        assert call(it, "evil") == REFUSED
        assert call(it, "test").status == 0
        assert it.output.count("frontend-sidecar unchanged") == 1

        edit(firewall, "'evil', 'No')", "'evil', 'No'")
        it.wait_for("rejected; version")
        assert "error[E" in it.output
        assert call(it, "evil") == REFUSED

        edit(firewall, "'evil', 'No'", "'test', 'No')")
        it.wait_for("server-sidecar accepted after", times=2)
        assert call(it, "test") == REFUSED

        edit(config, "serverChain: ", "unknownKey: ")
        it.wait_for("error[C010]: unknown key `unknownKey`")
        assert call(it, "test") == REFUSED
        edit(config, "unknownKey: ", "serverChain: ")
        it.wait_for("no change for the proxies")

        assert it.stop() == 0
        assert it.output.endswith("stopped\n")
        assert gone(tmp_path)


def test_an_edit_of_the_configuration_moves_elements(tmp_path: Path) -> None:
    """With a module for each element the listeners' filters change, too; callers notice nothing but the rule."""
    config = sample(tmp_path)
    with running(tmp_path, config, "--opt-level", "no") as it:
        it.wait_for("up: curl")
        config.with_name("null.appnet").write_text(NULL)
        file = "      file: firewall.appnet\n"
        moved = config.read_text().replace("  serverChain: ", "  pairChain: ")
        config.write_text(moved.replace(file, f"{file}    - name: nothing\n      file: null.appnet\n"))
        it.wait_for("server-sidecar accepted after")
        assert "frontend-sidecar accepted after" in it.output
        assert call(it, "test") == REFUSED
        assert call(it, "hello").status == 0
        assert it.stop(signal.SIGINT) == 0
        assert gone(tmp_path)


def test_a_change_of_the_edge_is_refused(tmp_path: Path) -> None:
    config = sample(tmp_path)
    with running(tmp_path, config) as it:
        it.wait_for("up: curl")
        text = config.read_text()
        config.write_text(
            text.replace("clientService: frontend", "clientService: server").replace(
                "serverService: server", "serverService: frontend"
            )
        )
        it.wait_for("error[C062]")
        assert call(it, "test") == REFUSED


def test_killed_it_leaves_nothing(tmp_path: Path) -> None:
    config = sample(tmp_path)
    with running(tmp_path, config) as it:
        it.wait_for("up: curl")
        assert len(left_behind(tmp_path)) >= 4
        it.process.kill()
        it.process.wait(10)
        assert gone(tmp_path)


def test_orphaned_it_ends(tmp_path: Path) -> None:
    """Its parent is killed and says nothing, like a `make` in a closed window."""
    config = sample(tmp_path)
    (tmp_path / "tmp").mkdir()
    log = (tmp_path / "output").open("wb")
    parent = subprocess.Popen(
        # As `nohup` has it, it would stay.
        ["env", "--default-signal=HUP", "sh", "-c", '"$@" & wait', "sh", *APPNETCTL, "run", str(config)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONUNBUFFERED": "1"},
    )
    it = Running(parent, tmp_path)
    it.wait_for("up: curl")
    parent.kill()
    parent.wait(10)
    assert gone(tmp_path)
    assert it.output.endswith("stopped\n")


def test_a_proxy_that_ends_is_told(tmp_path: Path) -> None:
    config = sample(tmp_path)
    with running(tmp_path, config) as it:
        it.wait_for("up: curl")
        proxy = next(line for line in left_behind(tmp_path) if "server-sidecar" in line)
        os.kill(int(proxy.split()[0]), signal.SIGKILL)
        assert it.process.wait(30) == 1
        assert "error: server-sidecar ended" in it.output
        assert gone(tmp_path)


def test_saves_are_live_one_after_another(tmp_path: Path) -> None:
    """How soon is what make bench-upgrade measures."""
    config = sample(tmp_path)
    firewall = config.with_name("firewall.appnet")
    with running(tmp_path, config, "--target", "wasm") as it:
        it.wait_for("up: curl")
        for old, new in itertools.pairwise(["test", "one", "two", "three"]):
            edit(firewall, f"'{old}', 'No'", f"'{new}', 'No'")
            deadline = time.monotonic() + 60
            while call(it, new) != REFUSED:
                assert time.monotonic() < deadline, it.output


def test_programs_are_started_again_from_the_terminal(tmp_path: Path) -> None:
    """Calls reach the new program through the same proxies; one that does not start is told, and can be mended."""
    config = sample(tmp_path)
    local = config.parent / "local.yaml"
    local.write_text(local.read_text().replace("python -m appnet.samples.echo server", "sh server.sh"))
    script = config.parent / "server.sh"
    script.write_text(f'echo begun; exec {sys.executable} -m appnet.samples.echo server "$@"\n')
    ours, theirs = pty.openpty()
    with running(tmp_path, config, stdin=theirs) as run:
        run.wait_for("Enter: help")
        os.write(ours, b"r server\n")
        run.wait_for("server started again in ")
        assert "frontend started again" not in run.output
        assert asyncio.run(judged(run.url, "hello")).text.startswith("You've hit server")
        os.write(ours, b"l server\n")
        run.wait_for("\n  begun\n", times=2)
        script.write_text("echo broken; exit 3\n")
        os.write(ours, b"r\n")
        run.wait_for("server is down: server ended with code 3")
        run.wait_for("frontend started again in ")
        assert run.process.poll() is None
        script.write_text(f'exec {sys.executable} -m appnet.samples.echo server "$@"\n')
        os.write(ours, b"r server\n")
        run.wait_for("server started again in ", times=2)
        assert asyncio.run(judged(run.url, "hello")).text.startswith("You've hit server")
        os.write(ours, b"r sever\nhelp\n")
        run.wait_for("'sever' is not one of ")
        run.wait_for("r restarts all programs")
    assert gone(tmp_path)
