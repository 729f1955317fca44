"""The keys by which processors know whose code they are given.

A control plane signs with its key, and proxies learn the public one when they start, by a way that the control plane
has no part in: a variable of their environment.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from appnet.system.state import make_secret, state_directory

TRUSTED_KEYS = "APPNET_TRUSTED_KEYS"
"""The variable of a proxy that names whom it trusts: texts of public keys, with commas between.

Commands that tell proxies their variables pass it on if they have it themselves."""

SIGNING_KEY = "APPNET_SIGNING_KEY"
"""The variable of AppNet's own commands that names the file of the key to sign with."""


_PUBLIC = re.compile("[0-9a-f]{64}")
_MOST_TRUSTED = 8  # by one proxy: trust.h has it, too


class SigningKeyError(OSError):
    """A key cannot be used, or is none. The text says where it was looked for, and what to do."""


class SigningKey:
    """A secret key of Ed25519. It shows in no text of this object."""

    def __init__(self, secret: Ed25519PrivateKey) -> None:
        self._secret = secret

    @classmethod
    def generate(cls) -> SigningKey:
        """A new one, which lives as long as this process unless somebody keeps it."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """The one that `to_pem` or `openssl genpkey -algorithm ed25519` wrote. Raises ValueError for anything else."""
        try:
            secret = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            secret = None
        if isinstance(secret, Ed25519PrivateKey):
            return cls(secret)
        raise ValueError("there is no private key of Ed25519 in it, in PEM and without a password")

    @classmethod
    def load_or_make(cls, path: Path) -> SigningKey:
        """The one in the file, which is made if there is none: only its user may read it. Raises `SigningKeyError`."""
        try:
            if not path.exists():
                made = cls.generate()
                if make_secret(path, made.to_pem()):
                    return made
            return cls.from_pem(path.read_bytes())
        except OSError as error:
            reason = error.strerror or str(error)
            text = f"the signing key {path} cannot be read or made: {reason}; set {SIGNING_KEY} to a file for it"
            raise SigningKeyError(text) from None
        except ValueError as error:
            text = f"{path} is no signing key: {error}; make one with openssl genpkey -algorithm ed25519"
            raise SigningKeyError(text) from None

    def to_pem(self) -> bytes:
        """All of it, as PKCS #8 in PEM: keep it secret."""
        return self._secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_text(self) -> str:
        """Its public key, as `TRUSTED_KEYS` has it: 64 hexadecimal digits."""
        return self._secret.public_key().public_bytes_raw().hex()

    @property
    def gateway_secret(self) -> bytes:
        """What a gateway to stores makes passes with, the same for all that have the key."""
        return self.sign(b"AppNet gateway to stores, 1\n")

    def sign(self, text: bytes) -> bytes:
        """The signature of a text, 64 bytes; the same text always has the same one."""
        return self._secret.sign(text)


def user_key() -> SigningKey:
    """The key of whoever runs this, made the first time that it is asked for. Raises OSError.

    It is in the file that `SIGNING_KEY` names, else in the user's folder for state.
    """
    named = os.environ.get(SIGNING_KEY)
    return SigningKey.load_or_make(Path(named) if named else state_directory() / "signing-key.pem")


def trusted_keys(signer: SigningKey | None = None) -> str:
    """What proxies are to have in `TRUSTED_KEYS`: what this process has in it, else the user's key; ``signer`` besides.

    Raises OSError.
    """
    named = os.environ.get(TRUSTED_KEYS)
    if not named:
        return (signer or user_key()).public_text
    keys = named.split(",")
    if signer is not None and signer.public_text not in keys:
        keys.append(signer.public_text)
    if len(keys) > _MOST_TRUSTED or not all(_PUBLIC.fullmatch(it) for it in keys):
        limit = f"up to {_MOST_TRUSTED} public keys, each as 64 hexadecimal digits, with commas between"
        raise SigningKeyError(f"{TRUSTED_KEYS} is {named!r}; it has to be {limit}, as `appnetctl serve` prints its own")
    return ",".join(keys)
