"""What the controller proves itself by: an authority of its own, a certificate, and the key that signs native modules.

They are kept in a Secret, so that a controller that takes over is the same for proxies.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lightkube import ApiError, AsyncClient
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Secret

from appnet.deploy.kubernetes.names import CONTROLLER, MANAGED_BY
from appnet.processors.signing import SigningKey
from appnet.system.tls import ServerTls

_AUTHORITY, _AUTHORITY_KEY, _SIGNING_KEY = "ca.crt", "ca.key", "signing.key"
_DAYS = 3650
"""The certificate's key is new with each start, and never leaves the controller."""
_CONFLICT, _NOT_FOUND = 409, 404


@dataclass(frozen=True)
class Credentials:
    """``authority`` and its key as PEM; ``signing`` signs native modules."""

    authority: bytes
    authority_key: bytes
    signing: SigningKey

    @staticmethod
    def made() -> Credentials:
        """New ones."""
        key, name = ec.generate_private_key(ec.SECP256R1()), _named("AppNet controller")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = _issued(name, name, key, signs_certificates=True).add_extension(constraints, critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        return Credentials(certificate.public_bytes(Encoding.PEM), _pem(key), SigningKey.generate())

    @staticmethod
    def read(data: Mapping[str, bytes]) -> Credentials:
        """Those of a Secret. Raises ValueError or KeyError for what is none."""
        x509.load_pem_x509_certificate(data[_AUTHORITY])
        load_pem_private_key(data[_AUTHORITY_KEY], None)
        return Credentials(data[_AUTHORITY], data[_AUTHORITY_KEY], SigningKey.from_pem(data[_SIGNING_KEY]))

    def written(self) -> dict[str, bytes]:
        """As a Secret keeps them."""
        return {
            _AUTHORITY: self.authority,
            _AUTHORITY_KEY: self.authority_key,
            _SIGNING_KEY: self.signing.to_pem(),
        }

    def tls(self, host: str, folder: Path) -> ServerTls:
        """A certificate for a server that is reached as ``host``, in files of ``folder``."""
        authority = x509.load_pem_x509_certificate(self.authority)
        authority_key = load_pem_private_key(self.authority_key, None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _issued(authority.subject, _named(CONTROLLER), key, signs_certificates=False)
            .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        certificate = builder.sign(authority_key, hashes.SHA256())
        paths = ServerTls(folder / "tls.crt", folder / "tls.key")
        paths.certificate.write_bytes(certificate.public_bytes(Encoding.PEM) + self.authority)
        paths.key.touch(mode=0o600)
        paths.key.write_bytes(_pem(key))
        return paths


async def credentials_of(client: AsyncClient, namespace: str) -> Credentials:
    """Those in the namespace's Secret, which is made where there is none. Raises `ApiError`, and ValueError where it
    holds something else."""
    try:
        secret = await client.get(Secret, CONTROLLER, namespace=namespace)
    except ApiError as error:
        if error.status.code != _NOT_FOUND:
            raise
        return await _create(client, namespace)
    try:
        return Credentials.read({key: base64.b64decode(it) for key, it in (secret.data or {}).items()})
    except (ValueError, KeyError):
        help_ = f"delete it, and restart the controller and the pods: kubectl delete secret -n {namespace} {CONTROLLER}"
        raise ValueError(
            f"the Secret {namespace}/{CONTROLLER} does not hold the controller's credentials; {help_}"
        ) from None


async def _create(client: AsyncClient, namespace: str) -> Credentials:
    made = Credentials.made()
    data = {key: base64.b64encode(it).decode() for key, it in made.written().items()}
    metadata = ObjectMeta(name=CONTROLLER, namespace=namespace, labels={MANAGED_BY: CONTROLLER})
    try:
        await client.create(Secret(metadata=metadata, data=data))
    except ApiError as error:
        if error.status.code != _CONFLICT:
            raise
        return await credentials_of(client, namespace)  # another controller was faster
    return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _issued(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, signs_certificates: bool
) -> x509.CertificateBuilder:
    """What every certificate has, valid from now on."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(_usage(signs_certificates=signs_certificates), critical=True)
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
