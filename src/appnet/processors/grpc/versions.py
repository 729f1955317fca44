"""Versions of libraries, as they travel and as files keep them: signed by whoever made them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from appnet.application.model import Side
from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.processors.artifact import Artifact
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.processors.processor import NodeSettings
from appnet.processors.signing import SigningKey
from appnet.state.layout import script
from appnet.system.store_address import password_of, read_address

LIBRARY_SERVICE = "appnet.library.v1.Library"
_PROTO = Path(__file__).parent / "library.proto"
SIGNED_DOMAIN = b"AppNet library version 2\n"
"""What every signed text begins with, so that a signature of anything else is none of a version."""
_FORM = 2


@cache
def message_class(name: str) -> Any:
    """The class of a message of library.proto."""
    return load_proto(FileSource(_PROTO)).message_class(f"appnet.library.v1.{name}")


def told(
    settings: NodeSettings,
    version: str,
    artifacts: Sequence[Artifact],
    name: str = "",
    *,
    store_of: Callable[[Artifact], StoreOptions | None] = lambda _: None,
) -> Any:
    """All that a node is to run, as a ``Version``; ``name``: by what its records say where they are from, where that is
    not its own. ``store_of``: where an artifact shares state, if it does. Raises `NoPasswordError`."""
    end = settings.end
    message = message_class("Version")(
        id=version,
        node=settings.name,
        client=end.client,
        server=end.server,
        at_server=end.side is Side.SERVER,
        records=str(settings.records) if settings.records is not None else "",
        hosts=[str(it) for it in settings.upstream],
        application=settings.application,
    )
    for it in artifacts:
        traces = it.limits.traced_share
        options = ChainOptions(end.service, name or settings.name, it.version, end=end, traces=traces)
        store = store_of(it)
        message.chains.add(
            name=it.name,
            version=it.version,
            max_message=it.limits.max_message,
            code=it.binary,
            resource=options.resource(),
            trace_share=options.trace_share,
            store=store_message(store) if store is not None else None,
        )
    return message


def store_message(store: StoreOptions) -> Any:
    """Where a chain shares state, as a ``Store``. Raises `NoPasswordError`."""
    address = read_address(store.address)
    host = address.hosts[0] if address.hosts else None
    return message_class("Store")(
        path=address.path,
        host="" if host is None else host.host,
        port=0 if host is None else host.port,
        user=address.user,
        password=store.password or password_of(address),
        database=int(address.database or 0),
        scope=store.scope,
        timeout_ms=max(1, round(store.timeout * 1000)),
        merge_ms=max(1, round(store.merge_every * 1000)),
        script=script(),
    )


def signed(version: Any, key: SigningKey, made: int = 0) -> Any:
    """A ``Version`` as a ``SignedVersion``. Its application, its end, its node, its chains, their order and their
    options are signed, so that no process runs less than was made for it, or something else. ``made``: when it became
    what is to run, as `Signer` tells; 0: it is a file of a program."""
    encoded = version.SerializeToString(deterministic=True)
    signature = key.sign(SIGNED_DOMAIN + made.to_bytes(8, "big") + encoded)
    return message_class("SignedVersion")(version=encoded, signature=signature, form=_FORM, made=made)


def application_of(group: str) -> str:
    """The application, NAMESPACE/APPNAME, that a group of a cluster is of."""
    return "/".join(group.split("/")[:2])


def digest(message: Any) -> bytes:
    """What tells a ``SignedVersion`` from all others."""
    return hashlib.sha256(message.version).digest()


class Signer:
    """Signs what a control plane tells. Versions have times, in nanoseconds since the epoch: each later than those
    before, also where the machine's clock goes back. Processes refuse what is older than the last one that they took.
    """

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._last = 0

    def now(self) -> int:
        """When what becomes what is to run now was made."""
        self._last = max(time.time_ns(), self._last + 1)
        return self._last

    def signed(self, version: Any, made: int) -> Any:
        """As the module's `signed`."""
        return signed(version, self._key, made)
