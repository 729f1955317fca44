"""Secret texts in files, by which callers show that they may."""

from __future__ import annotations

from pathlib import Path

_LONGEST = 4_096  # gRPC takes 8 KB of all headers together


class TokenFileError(Exception):
    """A file has no token; the text says why, after the file's name."""


def read_token(file: Path) -> str:
    """The token in a file: one line, of ASCII without spaces, as it travels in a header. Raises `TokenFileError`."""
    try:
        text = file.read_text("ascii").strip()
    except OSError as error:
        raise TokenFileError(f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or len(text.split()) != 1:
        raise TokenFileError("there is no token in it: one line of ASCII without spaces")
    if len(text) > _LONGEST:
        raise TokenFileError(f"its token has {len(text)} characters, and no caller can show more than {_LONGEST}")
    return text
