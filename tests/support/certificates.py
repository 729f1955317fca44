"""Authorities, and certificates that they make, for one test."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """Writes what it makes below ``folder``; its own certificate is ``certificate``."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._name, self._key = folder, name, ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.pem"
        made = self._signed(name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
        self.certificate.write_bytes(made.public_bytes(Encoding.PEM))

    def pair(
        self, name: str, *, server: bool = True, host: str = "127.0.0.1", days: tuple[int, int] = (-1, 1), uri: str = ""
    ) -> Pair:
        """A certificate and its key; valid from and until so many days from now. ``uri``: a name of it, besides."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        uris = [x509.UniformResourceIdentifier(uri)] if uri else []
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)), *uris])
        made = self._signed(name, key.public_key(), names, x509.ExtendedKeyUsage([purpose]), days=days)
        found = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        found.certificate.write_bytes(made.public_bytes(Encoding.PEM))
        found.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return found

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        *extensions: x509.ExtensionType,
        days: tuple[int, int] = (-1, 1),
    ) -> x509.Certificate:
        begins, ends = (datetime.now(UTC) + timedelta(days=it) for it in days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )
        for it in extensions:
            builder = builder.add_extension(it, critical=isinstance(it, x509.BasicConstraints))
        return builder.sign(self._key, SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
