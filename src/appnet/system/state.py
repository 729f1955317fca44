"""Where is kept what cannot be made again: ``$XDG_STATE_HOME/appnet`` (``~/.local/state/appnet``)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class StateError(OSError):
    """Nothing can be kept. The text says where, and how to have another place."""


def state_directory() -> Path:
    """The folder; it need not be there yet. Raises `StateError` for a user without a home."""
    base = os.environ.get("XDG_STATE_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "appnet"
    try:
        return Path.home() / ".local" / "state" / "appnet"
    except RuntimeError:
        raise StateError("this user has no home to keep a key in: set XDG_STATE_HOME to a folder for it") from None


def make_secret(path: Path, content: bytes) -> bool:
    """Writes a file that only this user may read; False where there is one already, which stays. Raises OSError.

    Others see it whole or not at all.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(name)  # unlike a renaming, it replaces nothing
    except FileExistsError:
        return False
    finally:
        Path(name).unlink(missing_ok=True)
    return True
