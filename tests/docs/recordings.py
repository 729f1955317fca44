"""Recordings of real commands on a terminal of 80 columns and 24 lines, for the docs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.recording import Frame, frame, recording
from tests.support.terminal import Terminal, on_a_terminal

ROOT = Path(__file__).parents[2]
FIREWALL = "config/samples/echo/firewall.appnet"
UP = "metrics.latency"  # the last row of the table


def clone(folder: Path) -> None:
    """Files to edit, beside the Makefile and the environment of this clone."""
    shutil.copytree(ROOT / "config", folder / "config")
    for it in ("Makefile", ".venv"):
        (folder / it).symlink_to(ROOT / it)
    shutil.copy(ROOT / "pyproject.toml", folder)
    os.utime(folder / "pyproject.toml", (0, 0))  # the environment is as it is: nothing is to be installed here
    fault = folder / "config" / "samples" / "echo" / "fault.appnet"
    fault.write_text(fault.read_text().replace("0.99", "1.0"))  # a refusal by chance would be another recording


@contextmanager
def typed(command: str, folder: Path) -> Iterator[Terminal]:
    """The command on a terminal, with the environment's programs in the path."""
    path = f"PATH={ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    with on_a_terminal(["env", path, *shlex.split(command)], folder, command) as it:
        yield it


def elsewhere(command: str, folder: Path) -> list[str]:
    """What another terminal shows of the command."""
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    return [f"$ {command}", *done.stdout.splitlines()]


def address(it: Terminal) -> str:
    """Where the echo application is called."""
    (line,) = (line for line in it.lines if line.startswith("up: curl "))
    return shlex.split(line)[2].partition("?")[0]


def quickstart(folder: Path) -> str:
    """`make quickstart`, and calls from elsewhere."""
    clone(folder)
    frames: list[Frame] = []
    with typed("make quickstart", folder) as it:
        frames.append(frame(it, 2))
        it.wait_for(UP)
        it.settle(1.5)
        frames.append(frame(it, 8))
        other = elsewhere(f"curl '{address(it)}?key=goodbye'", folder)
        it.wait_for("'goodbye'")
        it.settle(1.5)
        frames.append(frame(it, 4, other))
        it.type("\x03")
        it.wait()
    return recording(
        frames,
        1,
        "make quickstart on a terminal",
        "The elements are compiled, servers and proxies start, two calls are made, and records come in.",
    )


def broken_edit(folder: Path) -> str:
    """A save that is refused, the old version that runs on, and one that is taken."""
    clone(folder)
    frames: list[Frame] = []
    with typed("appnetctl run config/samples/echo/sample_echo_sidecar.yaml", folder) as it:
        it.wait_for(UP)
        it.settle(1.5)
        frames.append(frame(it, 3))
        other = elsewhere(f"sed -i 's/get(acl/gte(acl/' {FIREWALL}", folder)
        it.wait_for(" keeps running")
        it.settle(1.5)
        frames.append(frame(it, 6, other))
        other = elsewhere(f"curl '{address(it)}?key=test'", folder)
        it.settle(1.5)
        frames.append(frame(it, 4, other))
        other = elsewhere(f"sed -i \"s/gte/get/; s/'test'/'evil'/\" {FIREWALL}", folder)
        it.wait_for("server-sidecar accepted after ")
        it.settle(1.5)
        frames.append(frame(it, 6, other))
        it.type("\x03")
        it.wait()
    return recording(
        frames,
        1,
        "A broken edit while appnetctl run is up",
        "The diagnostic is shown and the old version keeps running, until the file is corrected.",
    )


def explain(folder: Path) -> str:
    """The summary of a plan."""
    clone(folder)
    with typed("appnetctl explain config/samples/cookbook/admit.yaml --opt-level weak", folder) as it:
        it.wait()
        frames = [frame(it, 1)]
    return recording(
        frames, 0, "appnetctl explain on a terminal", "The plan of a chain: what moved, and what it saves."
    )


RECORDINGS = {"recorded_quickstart": quickstart, "recorded_broken_edit": broken_edit, "recorded_explain": explain}
