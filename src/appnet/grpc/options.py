"""What a program may say of how it gets its chains."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USUAL_PATIENCE = 10.0
_TRUSTED = "APPNET_TRUSTED_KEYS"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How an end of edges gets its chains, or what it does without.

    ``files``: a folder whose files that end in ``.chains`` are the versions, or the files themselves, by name; then
    nobody else is asked. ``control``: the control plane, HOST:PORT, in the place of ``$APPNET_CONTROL``.
    ``application``: the one that the program is part of, in the place of ``$APPNET_APPLICATION``: its appName, or a
    namespace of a cluster, or NAMESPACE/APPNAME. Versions of another are refused. Where nothing names it, it is that of
    the first version that is taken, or was kept. ``tls``: the credentials of the connection to it; without,
    ``$APPNET_CA`` may name a file with the authority of its certificate. ``token``: by what the program proves who it
    is: a file, in the place of the one that ``$APPNET_TOKEN`` names, or what gives the text; it is asked for at each
    connection, and sent by TLS, or to an address of this machine. ``trust``: public keys of those who may sign
    versions, each as 64 hexadecimal digits, in the place of ``$APPNET_TRUSTED_KEYS``: without any, none from a control
    plane runs. ``files`` are held to them if there are any. ``keep``: a folder in the place of ``$APPNET_KEEP``, from
    which the next process starts where the control plane is away. ``patience``: the seconds that a call waits for the
    first version. ``pass_unjudged``: calls that begin before that pass. ``authority``: what elements see as
    ``:authority`` on the side of a client, since gRPC does not tell interceptors whom a channel calls.
    """

    files: str | os.PathLike[str] | Mapping[str, bytes] | None = None
    control: str = field(default_factory=lambda: os.environ.get("APPNET_CONTROL", ""))
    application: str = field(default_factory=lambda: os.environ.get("APPNET_APPLICATION", ""))
    instance: str = field(default_factory=lambda: os.environ.get("APPNET_NODE", ""))
    keep: str | os.PathLike[str] = field(default_factory=lambda: os.environ.get("APPNET_KEEP", ""))
    tls: Any = None
    token: str | os.PathLike[str] | Callable[[], str] = field(
        default_factory=lambda: os.environ.get("APPNET_TOKEN", "")
    )
    trust: Sequence[str] = field(default_factory=lambda: [*filter(None, os.environ.get(_TRUSTED, "").split(","))])
    patience: float = USUAL_PATIENCE
    pass_unjudged: bool = False
    authority: str = ""


def read_files(files: str | os.PathLike[str] | Mapping[str, bytes]) -> dict[str, bytes]:
    """Those that end in ``.chains``, by name; those of a folder, by their way from there. Raises `OSError`."""
    if isinstance(files, Mapping):
        return {name: data for name, data in files.items() if name.endswith(SUFFIX)}
    return {str(it.relative_to(files)): it.read_bytes() for it in sorted(Path(files).rglob(f"*{SUFFIX}"))}


SUFFIX = ".chains"
