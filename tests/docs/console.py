"""Follows a page of the docs to the letter: writes its files, types its commands, and compares what they print.

A fence ``KIND file=NAME`` is a file. A fence ``console`` holds commands (``$ …``), each with its output. The one command
of a fence ``console stays`` keeps running; a fence ``console`` without a command shows what it prints later, and a line
``^C`` there ends it.

In output a line ``…`` stands for any lines, and ``…`` within a line for anything in it. ``PORT`` is a number, which
commands that follow repeat.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r" file=(\S+)")
_TIMEOUT_SECONDS = 90.0


@dataclass(frozen=True)
class Write:
    """A file of the page."""

    name: str
    content: str


@dataclass(frozen=True)
class Type:
    """A command and what the page says it prints."""

    command: str
    output: str
    stays: bool = False


@dataclass(frozen=True)
class Wait:
    """What the command that stays prints further on."""

    output: str


def steps(page: str) -> Iterator[Write | Type | Wait]:
    """Everything that a reader of the page does, in order."""
    for kind, info, content in _FENCE.findall(page):
        if (file := _FILE.match(info)) is not None:
            yield Write(file[1], content)
        elif kind == "console":
            stays = info == " stays"
            later, *typed = re.split(r"^\$ ", content, maxsplit=int(stays), flags=re.MULTILINE)
            if later:
                yield Wait(later)
            for text in typed:
                command, _, output = text.partition("\n")
                yield Type(command, output, stays)


def match(expected: str, got: str) -> Mapping[str, str] | None:
    """What the placeholders stand for in the output; None where it is not as shown."""
    found = re.fullmatch(_pattern(expected), "".join(f"{line}\n" for line in got.rstrip().splitlines()))
    return None if found is None else found.groupdict()


def _pattern(shown: str) -> str:
    lines = (r"(?:.*\n)*?" if it == "…" else rf"{re.escape(it).replace('…', '.*')}\n" for it in shown.splitlines())
    return "".join(lines).replace("PORT", r"(?P<port>\d+)", 1).replace("PORT", "(?P=port)")


@dataclass
class Reader:
    """Someone with `appnetctl` in the PATH, who begins in an empty folder."""

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    _staying: subprocess.Popen[str] | None = None
    _seen: int = 0

    def __post_init__(self) -> None:
        self._tools = self.folder / ".tools"
        self._tools.mkdir()
        program = self._tools / "appnetctl"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m appnet "$@"\n')
        program.chmod(0o755)
        (self._tools / ".curlrc").write_text("silent\nshow-error\n")  # as on a terminal
        self._log = self._tools / "log"

    def follow(self, page: str) -> None:
        """Does everything that the page says. Raises `AssertionError` where something else comes of it."""
        try:
            for step in steps(page):
                self._do(step)
        finally:
            if self._staying is not None:
                self._interrupt()

    def _do(self, step: Write | Type | Wait) -> None:
        if isinstance(step, Write):
            (self.folder / step.name).write_text(step.content)
        elif isinstance(step, Wait):
            if step.output.startswith("^C\n"):
                self._interrupt()
            self._await(step.output.removeprefix("^C\n"))
        elif step.command.startswith("cd "):
            self.folder /= step.command.removeprefix("cd ")
        elif step.stays:
            self._stay(step)
        else:
            self._run(step)

    def _run(self, step: Type) -> None:
        got = subprocess.run(
            self._filled(step.command), shell=True, cwd=self.folder, env=self._environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        ).stdout  # fmt: skip
        found = match(step.output, got)
        assert found is not None, f"$ {step.command}\n{got}\nis not\n{step.output}"
        self.names |= found

    def _stay(self, step: Type) -> None:
        with self._log.open("w") as log:
            self._staying = subprocess.Popen(
                self._filled(step.command), shell=True, cwd=self.folder, env=self._environment(), text=True,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._seen = 0
        self._await(step.output)

    def _await(self, output: str) -> None:
        """Waits until the command that stays has printed the output, after all that it was seen to print before."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        pattern = re.compile(_pattern(f"…\n{output}"))
        while (found := pattern.match(got := self._log.read_text(), self._seen)) is None:
            assert time.monotonic() < deadline, f"{got[self._seen :]}\nis not\n{output}"
            time.sleep(0.05)
        self._seen = found.end()
        self.names |= found.groupdict()

    def _interrupt(self) -> None:
        assert self._staying is not None
        os.killpg(self._staying.pid, signal.SIGINT)
        self._staying.wait(_TIMEOUT_SECONDS)
        self._staying = None

    def _filled(self, command: str) -> str:
        for name, value in self.names.items():
            command = command.replace(name.upper(), value)
        return command

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{self._tools}:{os.environ['PATH']}", "CURL_HOME": str(self._tools)}
