"""Versions are signed: what is not signed by somebody who is trusted here is not looked into."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from appnet.grpc.ed25519 import is_key, is_signed, is_weak
from appnet.grpc.protocol import Running, Version

_DOMAIN = b"AppNet library version 2\n"
_FORM = 2
"""Of signed versions that this release reads, on their way and in files."""
_MOST_TRUSTED = 8

_NOBODY = (
    "no version is trusted here: start the program with the public key of its control plane in APPNET_TRUSTED_KEYS"
)
_NOT_TRUSTED = (
    "it is signed by none of the keys in APPNET_TRUSTED_KEYS: the program needs the public key of the control plane "
    "that sends it"
)
_OLD_FORM = (
    "it was made by an older AppNet, without its application and its time, by which a version is told from one that is "
    "sent again: let this release make it anew"
)


def trusted_keys(texts: Sequence[str]) -> list[bytes]:
    """Public keys from their texts. Raises `ValueError`."""
    found = []
    for it in texts:
        try:
            key = bytes.fromhex(it.strip())
        except ValueError:
            key = b""
        if not is_key(key):
            told = "is no public key of Ed25519, as 64 hexadecimal digits"
            raise ValueError(f"nobody is trusted here: {it[:70]!r} in APPNET_TRUSTED_KEYS {told}")
        if is_weak(key):
            told = "which stands in the place of a key"
            raise ValueError(
                f"nobody is trusted here: anybody could sign for {it[:70]!r} in APPNET_TRUSTED_KEYS, {told}"
            )
        found.append(key)
    if len(found) > _MOST_TRUSTED:
        raise ValueError(f"nobody is trusted here: APPNET_TRUSTED_KEYS has more than {_MOST_TRUSTED} keys")
    return found


def opened(signed: Any, keys: Sequence[bytes] | None) -> Any:
    """The ``Version`` in a ``SignedVersion`` that one of the keys has signed; None: whoever signed it. Raises
    `ValueError`."""
    if signed.form > _FORM:
        told = f"it is of form {signed.form}, and this release of AppNet reads {_FORM}"
        raise ValueError(f"{told}: start the program with a newer one")
    if signed.form < _FORM:
        raise ValueError(_OLD_FORM)
    if keys is not None:
        if not keys:
            raise ValueError(_NOBODY)
        text = _DOMAIN + signed.made.to_bytes(8, "big") + signed.version
        if not any(is_signed(it, text, signed.signature) for it in keys):
            raise ValueError(_NOT_TRUSTED)
    return read(Version, signed.version)


def read(message: Any, data: bytes) -> Any:
    """A message from its bytes. Raises `ValueError`."""
    try:
        return message.FromString(data)
    except Exception as error:  # protobuf's own, which has no public name
        raise ValueError(f"it cannot be read: {error}") from error


def running(version: Any, signed: Any) -> Any:
    """By what a control plane knows that this runs already."""
    return Running(node=version.node, version=version.id, digest=hashlib.sha256(signed.version).digest())
