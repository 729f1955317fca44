"""Folders of runs: what a killed run left is swept by the next one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"appnet-run-(\d+)-.*")


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for this run's logs and files, which goes with it."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"appnet-run-{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _sweep() -> None:
    """Removes the folders of our runs that have ended without doing so."""
    for entry in Path(tempfile.gettempdir()).glob("appnet-run-*"):
        found = _NAME.fullmatch(entry.name)
        if found and not _runs(int(found[1])):
            shutil.rmtree(entry, ignore_errors=True)  # nor can others' be removed


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
