"""Where what was computed once is kept: ``$XDG_CACHE_HOME/appnet`` (``~/.cache/appnet``)."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """The folder; it need not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "appnet"
