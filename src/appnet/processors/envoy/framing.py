"""How gRPC puts messages into bodies of HTTP."""

from __future__ import annotations

FRAME_SIZE = 5
"""Bytes before each message: whether it is compressed, and its length."""


def framed(message: bytes) -> bytes:
    """The message as a body, uncompressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def is_framed(body: bytes) -> bool:
    """Whether the body is exactly one uncompressed message."""
    return body[:1] == b"\0" and len(body) == FRAME_SIZE + int.from_bytes(body[1:FRAME_SIZE], "big")
