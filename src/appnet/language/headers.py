"""Which headers handlers can set; what does not fit is left alone."""

from __future__ import annotations

import re

_KEY = re.compile(rb"[a-z0-9._-]+")
_TEXT = re.compile(rb"[\x20-\x7e]*")
_RESERVED = re.compile(rb"grpc-.*|content-type|te")


def is_header_key(key: bytes) -> bool:
    """Whether handlers can set a header of this lower-case key."""
    return bool(_KEY.fullmatch(key)) and not _RESERVED.fullmatch(key)


def is_header_value(value: bytes) -> bool:
    """Whether a header can carry the value."""
    return bool(_TEXT.fullmatch(value))
