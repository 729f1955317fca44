"""`appnetctl run` as a process of its own, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from appnet.compile.fit import DEFAULT_TARGET, Where
from appnet.deploy.local.foreseen import CallerAnswer
from appnet.deploy.local.machine import LocalMachine, RunSettings
from appnet.deploy.local.trial import get
from appnet.diagnostics.source import FileSource
from appnet.observe.points import ELEMENT, REFUSALS, SIDE, STATUS, Value

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
CONFIG = "sample_echo_sidecar.yaml"
APPNETCTL = [sys.executable, "-m", "appnet"]


def sample(folder: Path) -> Path:
    """A copy of the echo sample that tests may change; its configuration."""
    shutil.copytree(ECHO, folder / "echo")
    return folder / "echo" / CONFIG


def two_frontends(folder: Path, **elements: str) -> Path:
    """The same with two frontends, so with two of their proxies. ``elements``: texts in place of the sample's, by name."""
    config = sample(folder)
    manifest = config.with_name("echo.yaml")
    manifest.write_text(manifest.read_text().replace("replicas: 1", "replicas: 2", 1))
    for name, text in elements.items():
        config.with_name(f"{name}.appnet").write_text(text)
    return config


def settings_of(config: Path, folder: Path, target: str = DEFAULT_TARGET, store: str = "") -> RunSettings:
    """How to run the application of the configuration below ``folder``, with the ``store`` at this address if any."""
    return RunSettings((FileSource(config),), folder / "run", where=Where(target, store=store))


async def ask(url: str, key: str) -> CallerAnswer:
    """What the echo application's frontend answers."""
    return (await get(f"{url}/?{urlencode({'key': key})}")).answer


async def judged(url: str, key: str) -> CallerAnswer:
    """The same, again where the fault element answered by chance."""
    answer = await ask(url, key)
    return await judged(url, key) if answer.message == "fault_injected" else answer


async def refusals(machine: LocalMachine, element: str, wanted: int) -> dict[tuple[str, ...], Value]:
    """How many calls the element has refused, by side and status, once so many are told of."""
    found: dict[tuple[str, ...], Value] = {}
    for _ in range(100):
        every = machine.telemetry.totals.by([REFUSALS], [ELEMENT, SIDE, STATUS])
        found = {key[1:]: it for key, it in every.items() if key[0] == element}
        if sum(it for it in found.values() if isinstance(it, int)) >= wanted:
            break
        await asyncio.sleep(0.1)
    return found


class Running:
    """A started `appnetctl run`; all it does in files is below ``folder``."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    @property
    def url(self) -> str:
        match = re.search(r"\nup: curl '(.*)/\?key=hello'", self.output)
        assert match, self.output
        return match[1]

    def wait_for(self, text: str, times: int = 1, seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while self.output.count(text) < times:
            assert time.monotonic() < deadline, f"no {text!r} in\n{self.output}"
            assert self.process.poll() is None, self.output
            time.sleep(0.02)

    def rest_of_line(self, text: str) -> str:
        """What stands behind the text, once its line is whole."""
        self.wait_for(text)
        deadline = time.monotonic() + 90
        while "\n" not in (rest := self.output.partition(text)[2]):
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)
        return rest.split("\n")[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def running(
    folder: Path,
    *arguments: str | Path,
    prefix: tuple[str, ...] = (),
    command: str = "run",
    stdin: int | None = None,
) -> Iterator[Running]:
    """Starts it with its temporary files below ``folder``, so that its children can be told by their command lines."""
    (folder / "tmp").mkdir(exist_ok=True)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*prefix, *APPNETCTL, command, *map(str, arguments)],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"},
        )
    try:
        yield Running(process, folder)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that run below ``folder``, or name a path there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                here = (entry / "cwd").readlink().is_relative_to(folder)
                if (here or str(folder) in line) and state != "Z":
                    found.append(f"{entry.name} {line}")
    return found


def gone(folder: Path, seconds: float = 10.0) -> bool:
    """Whether nothing of ``folder`` runs any more, now or soon."""
    deadline = time.monotonic() + seconds
    while left_behind(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
