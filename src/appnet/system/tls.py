"""What the two ends of a TLS connection are told, as files in PEM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerTls:
    """What a server shows, and which clients it takes: all, or with ``client_ca`` those with a certificate of it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True)
class ClientTls:
    """By which authority a client knows its server, and what it shows itself, if it has to."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
