"""Places that fail: caches and outputs that are full or cannot be written, a user without a home, ports in use, Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.quickstart.support import APPNETCTL

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "config" / "samples" / "echo"
CONFIG = ECHO / "sample_echo_sidecar.yaml"
ELEMENT = ["element", "--element", ECHO / "fault.appnet", "--proto", ECHO / "echo.proto", "--method", "echo"]
NOBODY = 12_345
CAPABILITIES = [f"--{it}-caps=+dac_read_search" for it in ("inh", "ambient")]
"""With which nobody may read where Python is installed, and write nothing."""

MOST_MEMORY = 2 << 30
PATIENCE_SECONDS = 120


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))


def appnetctl(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [*APPNETCTL, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        cwd=ROOT,
        preexec_fn=_limit_memory,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for almost nothing."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", folder], check=False).returncode:
        pytest.skip("a small disk cannot be mounted: run the tests as root in a container that may mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    answer = appnetctl(*ELEMENT, "-w", tmp_path / "out", XDG_CACHE_HOME="/proc/none")
    reason = "No such file or directory; set XDG_CACHE_HOME to another folder"
    assert answer.stderr == f"error: the cache /proc/none/appnet cannot be written: {reason}\n"
    assert answer.returncode == 1


def test_plans_are_made_without_a_cache() -> None:
    answer = appnetctl("plan", CONFIG, XDG_CACHE_HOME="/proc/none")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_full_cache_is_told(tmp_path: Path, full: Path) -> None:
    answer = appnetctl(*ELEMENT, "-w", tmp_path / "out", XDG_CACHE_HOME=str(full))
    reason = "No space left on device; make room there, or set XDG_CACHE_HOME to another folder"
    assert answer.stderr == f"error: the cache {full}/appnet cannot be written: {reason}\n"
    assert answer.returncode == 1
    assert not list((full / "appnet").glob("build-*"))


@pytest.mark.parametrize("home", ["/proc/none", None], ids=["missing", "unknown"])
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can become nobody")
def test_a_user_without_a_home_is_told_of_the_variable(home: str | None, tmp_path: Path) -> None:
    environment = {key: it for key, it in os.environ.items() if key not in {"HOME", "XDG_CACHE_HOME"}}
    command = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", *CAPABILITIES, *APPNETCTL, *map(str, ELEMENT)]
    run = subprocess.run(
        [*command, "-w", tmp_path / "out"],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1", **({"HOME": home} if home else {})},
        cwd=ROOT,
        check=False,
    )
    assert run.stderr.startswith("error: ")
    assert run.stderr.endswith("\n")
    assert run.stderr.count("\n") == 1
    assert "XDG_CACHE_HOME" in run.stderr
    assert run.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [["compile", CONFIG, "-w"], ["explain", CONFIG, "--svg"], ["convert", CONFIG, "-w"]],
    ids=lambda it: str(it[0]),
)
def test_output_that_has_no_room_leaves_nothing(arguments: list[object], full: Path) -> None:
    with contextlib.suppress(OSError), (full / "kept").open("wb", buffering=0) as kept:
        while True:
            kept.write(bytes(1024))
    place = full / "out"
    answer = appnetctl(*arguments, place)
    assert answer.returncode == 2
    assert f"error[C086]: {place} cannot be written: No space left on device" in answer.stderr
    assert "free some space there, or choose another place" in answer.stderr
    assert [it.name for it in full.iterdir()] == ["kept"]


def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = appnetctl("run", CONFIG, "--port", port, "--once")
        assert answer.returncode == 1
        assert f"{port}" in answer.stderr
        assert "is in use: stop the program that listens there" in answer.stderr
        assert "starting" not in answer.stdout


def test_ctrl_c_during_a_build_ends_with_130_and_leaves_nothing_half_built(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    build = subprocess.Popen(
        [*APPNETCTL, *map(str, ELEMENT), "-w", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list((cache / "appnet").glob("build-*/module.c")):
        assert build.poll() is None, "it ended before anything was built"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(build.pid, signal.SIGINT)  # as a terminal does
    out, err = build.communicate(timeout=PATIENCE_SECONDS)
    assert (build.returncode, out) == (130, "")
    assert "Traceback" not in err
    left = [it.relative_to(cache / "appnet") for it in (cache / "appnet").rglob("*")]
    whole = re.compile(r"modules(/[0-9a-f]{64})?")  # of the element's targets, those that were built before
    assert [it for it in left if it.parts[0] != "zig" and not whole.fullmatch(str(it))] == []
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    shutil.rmtree(cache)
