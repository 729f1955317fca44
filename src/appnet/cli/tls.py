"""Options that name certificates and keys, and what is wrong with the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from appnet.system.certificates import TlsFileError, check_authority, check_certificate, check_key
from appnet.system.tls import ClientTls, ServerTls

CertificateOption = Annotated[Path | None, typer.Option("--tls-cert", help="Its certificate, in PEM: TLS with it.")]
AuthorityOption = Annotated[
    Path | None, typer.Option(help="The authority of `serve`'s certificate, in PEM: connect by TLS.")
]
KeyOption = Annotated[Path | None, typer.Option("--tls-key", help="The key of that certificate, in PEM.")]


def server_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ServerTls | None:
    """What the options of a server give; None: no TLS. Raises `typer.BadParameter` for files that will not do."""
    pair = _pair(certificate, key, server=True)
    if pair is None and client_ca is not None:
        raise typer.BadParameter("a server with it needs --tls-cert and --tls-key, too", param_hint="--tls-client-ca")
    if client_ca is not None:
        _checked("--tls-client-ca", client_ca, check_authority)
    return None if pair is None else ServerTls(*pair, client_ca)


def client_tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ClientTls | None:
    """The same for a client."""
    pair = _pair(certificate, key, server=False)
    if ca is None:
        if pair is not None:
            raise typer.BadParameter("a client with it needs --tls-ca, too", param_hint="--tls-cert")
        return None
    _checked("--tls-ca", ca, check_authority)
    return ClientTls(ca.absolute(), *(it.absolute() for it in pair or ()))


def _pair(certificate: Path | None, key: Path | None, *, server: bool) -> tuple[Path, Path] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing, given = ("--tls-cert", "--tls-key") if certificate is None else ("--tls-key", "--tls-cert")
        raise typer.BadParameter(f"it goes with {missing}", param_hint=given)
    _checked("--tls-cert", certificate, lambda it: check_certificate(it, server=server))
    _checked("--tls-key", key, lambda it: check_key(it, certificate))
    return certificate, key


def _checked(option: str, path: Path, check: Callable[[Path], None]) -> None:
    try:
        check(path)
    except TlsFileError as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint=option) from None
