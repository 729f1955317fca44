"""TLS of servers that speak gRPC."""

from __future__ import annotations

import contextlib
from pathlib import Path

import grpc

from appnet.system.tls import ServerTls


class _Files:
    """The files of a certificate, read again when one of them has changed."""

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._paths: list[Path] = [it for it in (tls.certificate, tls.key, tls.client_ca) if it is not None]
        self._stamps = self._now()

    def read(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        root = tls.client_ca.read_bytes() if tls.client_ca is not None else None
        return grpc.ssl_server_certificate_configuration([(tls.key.read_bytes(), tls.certificate.read_bytes())], root)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What they are now; None while they are as before, or cannot be read: then the ones before stay in use."""
        with contextlib.suppress(OSError):
            stamps = self._now()
            if stamps != self._stamps:
                found = self.read()
                self._stamps = stamps
                return found
        return None

    def _now(self) -> list[tuple[int, int]]:
        return [(it.st_mtime_ns, it.st_ino) for it in (path.stat() for path in self._paths)]


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """What a server shows and asks for. A certificate that is replaced is shown to those who connect from then on.
    Raises OSError."""
    files = _Files(tls)
    return grpc.dynamic_ssl_server_credentials(
        files.read(), files.changed, require_client_authentication=tls.client_ca is not None
    )
