"""Certificates and keys in files: looked into before anything listens or connects with them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID


class TlsFileError(Exception):
    """A file is not what it was given as; the text says why, after the file's name."""


def check_authority(path: Path) -> None:
    """Raises `TlsFileError` unless there are certificates of authorities in the file, all of them valid now."""
    for it in _certificates(path):
        try:
            is_authority = it.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            is_authority = False
        if not is_authority:
            raise TlsFileError(f"the certificate of {_named(it)} is no authority's (basicConstraints)")


def system_authorities() -> Path:
    """The file with all authorities that this machine trusts. Raises `TlsFileError` where it has none."""
    found = ssl.get_default_verify_paths().cafile
    if found is None:
        raise TlsFileError("this machine has no file with the authorities that it trusts: name one")
    return Path(found)


def check_certificate(certificate: Path, *, server: bool) -> None:
    """Raises `TlsFileError` unless there is a certificate in the file, valid now, for a server or for a client."""
    leaf = _certificates(certificate)[0]
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if purpose not in purposes:
        raise TlsFileError(f"the certificate of {_named(leaf)} is not for {'servers' if server else 'clients'}")


def check_key(key: Path, certificate: Path) -> None:
    """Raises `TlsFileError` unless there is the certificate's key in the file, in PEM and without a password."""
    try:
        found = load_pem_private_key(_read(key), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TlsFileError("there is no private key in it, in PEM and without a password") from None
    leaf = _certificates(certificate)[0]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if found.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise TlsFileError(f"it is not the key of {certificate}")


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise TlsFileError("there is no certificate in it, in PEM") from None
    now = datetime.now(UTC)
    for it in found:
        if it.not_valid_after_utc < now:
            ended = f"{it.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            raise TlsFileError(f"the certificate of {_named(it)} expired on {ended}")
        if it.not_valid_before_utc > now:
            begins = f"{it.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            raise TlsFileError(f"the certificate of {_named(it)} is not valid before {begins}")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileError(f"it cannot be read: {error.strerror}") from None


def _named(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "nobody"
