"""Files that are written whole, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Writes the file in place of what is there; what cannot be written to its end leaves that. Raises OSError.

    A device or a pipe takes what it can.
    """
    place = file.resolve()
    if place.exists() and not place.is_file():
        place.write_bytes(content)
        return
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent, ignore_cleanup_errors=True) as beside:
        written = Path(beside) / place.name
        written.write_bytes(content)
        with suppress(FileNotFoundError):
            shutil.copymode(place, written)
        written.replace(place)
