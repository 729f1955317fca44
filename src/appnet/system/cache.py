"""Where what was computed once is kept: ``$XDG_CACHE_HOME/appnet`` (``~/.cache/appnet``)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)


class CacheError(OSError):
    """Nothing can be kept in the cache. The text says where it is, and how to have another."""


def cache_directory() -> Path:
    """The folder; it need not be there yet. Raises `CacheError` for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "appnet"
    try:
        return Path.home() / ".cache" / "appnet"
    except RuntimeError:
        raise CacheError("this user has no home for a cache: set XDG_CACHE_HOME to a folder for it") from None


@contextmanager
def keeping() -> Iterator[Path]:
    """The folder, for what writes into it. Raises `CacheError` where that fails."""
    folder = cache_directory()
    try:
        yield folder
    except OSError as error:
        remedy = "make room there, or set" if error.errno in _FULL else "set"
        reason = error.strerror or str(error)
        text = f"the cache {folder} cannot be written: {reason}; {remedy} XDG_CACHE_HOME to another folder"
        raise CacheError(text) from error
