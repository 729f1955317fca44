"""Folders that go with the process that made them: what a killed one left is swept by the next."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

_RANDOM = "[a-z0-9_]{8}"  # what `tempfile` ends names with


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder in ``parent`` whose name begins with ``prefix``, until the end. Raises OSError.

    Its process holds a lock on it, which ends with the process however that ends, in whatever container it runs.
    """
    _sweep(parent, prefix)
    folder, lock = _locked(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def run_folder() -> AbstractContextManager[Path]:
    """A folder for the logs and files of a run, where temporary files are. Raises OSError."""
    return work_folder(Path(tempfile.gettempdir()), "appnet-run-")


def _locked(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _sweep(parent: Path, prefix: str) -> None:
    """Removes the folders that nobody holds, as far as this user may."""
    ours = re.compile(re.escape(prefix) + _RANDOM)
    for entry in parent.glob(f"{prefix}*"):
        if not ours.fullmatch(entry.name):
            continue
        with suppress(OSError):
            lock = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.geteuid():
                    shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(lock)
