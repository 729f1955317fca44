"""Which packages and programs this machine has."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_TIMEOUT_SECONDS = 10
_NUMBER = re.compile(r"\d+\.\d+\.\d+")


def package_version_of(name: str) -> Callable[[], str | None]:
    """What finds the version of a Python package; None where it is missing."""

    def find() -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return find


def program_version(program: str | Path, *arguments: str) -> str | None:
    """The version number in what a program prints for these arguments; None where it is missing or does not run."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        run = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = _NUMBER.search(run.stdout)
    return found[0] if found else "there"
