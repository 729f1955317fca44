"""Keys as a terminal gives them, one by one, or lines that it has edited itself."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from appnet.cli.keys import Typing
from tests.quickstart.support import APPNETCTL, gone, sample


def typed(*keys: str) -> tuple[list[str], str]:
    async def scenario() -> tuple[list[str], str]:
        typing = Typing()
        for it in keys:
            typing.keys(it)
        assert typing.changed.is_set()
        return [typing.lines.get_nowait() for _ in range(typing.lines.qsize())], typing.text

    return asyncio.run(scenario())


def test_lines_are_whole_lines() -> None:
    assert typed("r", " ", "s", "\n", "l") == (["r s"], "l")
    assert typed("r server\nl\n") == (["r server", "l"], "")
    assert typed("rx", "\x7f", " s\r") == (["r s"], "")
    assert typed("\x7f", "nonsense", "\x15", "l\n") == (["l"], "")
    assert typed("\x1b[A") == ([], "[A")


@pytest.mark.e2e
def test_what_is_typed_is_shown_below_the_table(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*APPNETCTL, "run", str(sample(tmp_path))]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    shown = b""

    def wait_for(text: bytes) -> None:
        nonlocal shown
        deadline = time.monotonic() + 90
        while text not in shown:
            assert time.monotonic() < deadline, shown.decode(errors="replace")
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 1 << 16)

    try:
        wait_for(b"Enter: help")
        os.write(ours, b"r serv")
        wait_for(b"> r serv")
        os.write(ours, b"er\n")
        wait_for(b"server started again in ")
    finally:
        process.terminate()
        wait_for(b"stopped")
        assert process.wait(30) == 0
    assert gone(tmp_path)
