"""What a judge is to these tests, and how programs of judges run."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from appnet.system import lifetime
from tests.judges.chains import Judged

PASSED = "passed"
Outcomes = Mapping[str, str]
"""How each case ended: `PASSED`, or what the judge says against it."""

_LONGEST_SECONDS = 240
_GRACE_SECONDS = 3


class Suite(Protocol):
    """A judge. All of its cases make calls to an application."""

    name: str

    def judged(self, folder: Path) -> Judged:
        """The application; ``folder`` may take its .proto."""

    async def alone(self, upstream: int) -> Outcomes:
        """How its cases end without sidecars; its server may be on the port ``upstream``."""

    async def through(self, entrance: int, upstream: int) -> Outcomes:
        """How they end where clients call the port ``entrance``, behind which are sidecars, and then its server."""


async def output_of(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Runs a program to its end: its exit code, and all that it said."""
    process = await lifetime.start_bound(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, environment=environment
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _LONGEST_SECONDS)
    finally:
        await lifetime.stop(process, _GRACE_SECONDS)
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


@contextlib.asynccontextmanager
async def serving(command: Sequence[str | Path], ready: str, environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Runs a server, from the moment that a line of its log has ``ready``."""
    process = await lifetime.start_bound(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, environment=environment
    )
    try:
        assert process.stderr is not None
        while ready not in (line := (await process.stderr.readline()).decode()):
            assert line, f"{command[0]} ended before it was ready"
        drained = asyncio.create_task(process.stderr.read())
        yield
        drained.cancel()
    finally:
        await lifetime.stop(process, _GRACE_SECONDS)


_STREAM_NUMBER = re.compile(r"stream ID \d+")
_WORDS = re.compile(r'message: "(?:[^"\\]|\\.)*"')


def same(one: str, other: str) -> bool:
    """Whether two outcomes are one; who says it in which words, or on which stream, does not matter."""
    first, second = (_WORDS.sub("", _STREAM_NUMBER.sub("", it)) for it in (one, other))
    return first == second
