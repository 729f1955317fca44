"""Options that name certificates and keys, and what is wrong with the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from appnet.system.address import Address
from appnet.system.certificates import TlsFileError, check_authority, check_certificate, check_key
from appnet.system.tls import ClientTls, ServerTls
from appnet.system.token import TokenFileError, read_token

_T = TypeVar("_T")

CertificateOption = Annotated[Path | None, typer.Option("--tls-cert", help="Its certificate, in PEM: TLS with it.")]
AuthorityOption = Annotated[
    Path | None, typer.Option(help="The authority of `serve`'s certificate, in PEM: connect by TLS.")
]
KeyOption = Annotated[Path | None, typer.Option("--tls-key", help="The key of that certificate, in PEM.")]

TokenOption = Annotated[
    Path | None, typer.Option(help="The token that `serve` asks for, in a file.", show_default=False)
]
DashboardTokenOption = Annotated[
    Path | None,
    typer.Option(
        "--dashboard-token-file",
        help="The dashboard has buttons for rollouts, for those who know the token in this file.",
        show_default=False,
    ),
]


def dashboard_token(file: Path | None) -> str | None:
    """The token in the file; None where there is none. Raises `typer.BadParameter` where it will not do."""
    if file is None:
        return None
    return _checked("--dashboard-token-file", file, read_token)


def server_token(file: Path | None, own: Iterable[Address], tls: ServerTls | None) -> Path | None:
    """The file with the token that a server asks for at its own addresses. Raises `typer.BadParameter` where it will
    not do."""
    far = next((it for it in own if not it.is_local), None)
    if file is not None and tls is None and far is not None:
        text = f"{far} is not of this machine alone, and a token may be read on its way: add --tls-cert and --tls-key"
        raise typer.BadParameter(text, param_hint="--token-file")
    return token(file)


def token(file: Path | None) -> Path | None:
    """The same for a client."""
    if file is not None:
        _checked("--token-file", file, read_token)
    return None if file is None else file.absolute()


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


def _checked(option: str, path: Path, check: Callable[[Path], _T]) -> _T:
    try:
        return check(path)
    except (TlsFileError, TokenFileError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint=option) from None
