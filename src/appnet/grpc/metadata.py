"""Metadata as gRPC's users have it, pairs of a key and a text, or bytes where the key ends in ``-bin``; for chains, all
of it is as on the wire."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any

from appnet.grpc.frame import Call, Edit

Metadata = list[tuple[str, Any]]

_BINARY = "-bin"
_UNITS = (("n", 1e-9), ("u", 1e-6), ("m", 1e-3), ("S", 1.0), ("H", 3600.0))


def listed(metadata: Iterable[Any] | None) -> Metadata:
    """A list of its own. gRPC takes keys that are bytes, too."""
    return [(it[0].decode("latin-1") if isinstance(it[0], bytes) else it[0], it[1]) for it in metadata or ()]


def offer(call: Call, which: int, metadata: Metadata) -> None:
    """Shows a map of metadata to the chain."""
    for key, value in metadata:
        call.add_metadata(which, key.encode(), to_wire(key, value))


def offer_new(call: Call, which: int, metadata: Metadata, key: str, value: bytes) -> None:
    """Adds what gRPC has on the wire, where the library does not tell it."""
    if not any(it == key for it, _ in metadata):
        call.add_metadata(which, key.encode(), value)


def edited(metadata: Metadata, edits: Sequence[Edit], which: int) -> Metadata:
    """The metadata as handlers made it."""
    for place, key, value in edits:
        if place == which:
            metadata = [it for it in metadata if it[0] != key]
            if value is not None:
                metadata.append((key, from_wire(key, value)))
    return metadata


def entries(pairs: Iterable[tuple[str, bytes]]) -> Metadata:
    """Those of a refusal or an answer."""
    return [(key, from_wire(key, value)) for key, value in pairs]


def to_wire(key: str, value: Any) -> bytes:
    """A value as it travels."""
    plain: bytes = value if isinstance(value, bytes) else str(value).encode()
    return base64.b64encode(plain).rstrip(b"=") if key.endswith(_BINARY) else plain


def from_wire(key: str, value: bytes) -> Any:
    """A value as gRPC has it; bytes, where it is no text."""
    if not key.endswith(_BINARY):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return value


def timeout_text(left: float) -> bytes:
    """Seconds as ``grpc-timeout`` has them: at most eight digits. No number at all is no time."""
    left = min(max(left, 0.0), 1e12) if left == left else 0.0  # noqa: PLR0124 -- false for NaN
    for letter, size in _UNITS:
        count = int(left / size)
        if count < 10**8:
            return f"{count}{letter}".encode()
    return b"99999999H"


def identity(context: dict[str, Sequence[bytes]]) -> bytes:
    """Who the caller proved to be by mutual TLS, of gRPC's ``auth_context()``: the first URI of its certificate, or the
    first name, or its subject."""
    for key in ("peer_uri", "peer_dns", "x509_subject", "x509_common_name"):
        for it in context.get(key) or ():
            return it
    return b""
