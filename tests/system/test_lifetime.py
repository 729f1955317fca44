"""Child processes end with whoever started them, or when they are asked to."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from appnet.system import lifetime
from tests.support.asynchronous import asynchronous


def test_a_child_whose_parent_is_gone_already_does_not_start(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    command = [sys.executable, "-I", "-S", lifetime.__file__, str(os.getpid() + 1), "/usr/bin/touch", str(marker)]
    assert subprocess.run(command, check=False).returncode == 1
    assert not marker.exists()


def test_only_the_main_thread_starts_bound_processes() -> None:
    """The kernel binds a child to the thread that forked it."""
    errors: list[BaseException] = []

    def start() -> None:
        try:
            asyncio.run(lifetime.start_bound(["/bin/true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


@asynchronous
async def test_a_child_that_ignores_the_request_to_end_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = await lifetime.start_bound(
        [sys.executable, "-c", code], stdout=asyncio.subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout is not None
    await child.stdout.readline()
    assert await lifetime.stop(child, grace_seconds=0.2) == -signal.SIGKILL
