"""gcc's sanitizers: where their libraries are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def sanitizer_library(name: str) -> Path | None:
    """The library of ``address`` or ``thread``, in its file; None where the machine has no gcc, or gcc none."""
    if shutil.which("gcc") is None:
        return None
    library = {"address": "libasan.so", "thread": "libtsan.so"}[name]
    found = subprocess.run(["gcc", f"-print-file-name={library}"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())
    return path if path.is_absolute() else None  # gcc gives the name alone back for what it does not find
