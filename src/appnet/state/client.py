"""The client library's connections to a store, wherever it is."""

from __future__ import annotations

from typing import Any

import valkey
from valkey.cluster import ClusterNode, ValkeyCluster
from valkey.connection import SSLConnection
from valkey.sentinel import Sentinel

from appnet.system.store_address import Layout, StoreAddress, StoreTls

Client = valkey.Valkey | ValkeyCluster


class _NamedConnection(SSLConnection):
    """TLS with a store whose certificate is another name's than the one that it is reached by."""

    def __init__(self, **settings: Any) -> None:
        self._name = settings.pop("name")
        super().__init__(**settings)  # type: ignore[no-untyped-call]

    def _wrap_socket_with_ssl(self, sock: Any) -> Any:
        reached, self.host = self.host, self._name
        try:
            return super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        finally:
            self.host = reached


def store_client(address: StoreAddress, password: str, seconds: float) -> Client:
    """A client of the store; ``password``: in place of the address's. ``seconds``: how long it waits for an answer.

    Raises `valkey.ValkeyError` or OSError where a cluster cannot be reached; other stores are not reached yet.
    """
    settings: dict[str, Any] = {"username": address.user or None, "password": password or None}
    settings |= {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    if address.layout is Layout.CLUSTER:
        if address.tls is not None:
            settings |= {"ssl": True, "connection_class": _NamedConnection, **_tls(address.tls)}
        nodes = [ClusterNode(it.host, it.port) for it in address.hosts]  # type: ignore[no-untyped-call]
        return ValkeyCluster(startup_nodes=nodes, **settings)
    settings["db"] = int(address.database or 0)
    if address.layout is Layout.SENTINEL:
        asked = Sentinel([(it.host, it.port) for it in address.hosts], **_times(seconds))  # type: ignore[no-untyped-call]
        client: valkey.Valkey = asked.master_for(address.service, **settings)  # type: ignore[no-untyped-call]
        return client
    if address.path:
        pool = valkey.ConnectionPool(connection_class=valkey.UnixDomainSocketConnection, path=address.path, **settings)
    else:
        (host,) = address.hosts
        settings |= {"host": host.host, "port": host.port}
        if address.tls is not None:
            settings |= {"connection_class": _NamedConnection, **_tls(address.tls)}
        pool = valkey.ConnectionPool(**settings)
    return valkey.Valkey.from_pool(pool)


def _times(seconds: float) -> dict[str, float]:
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


def _tls(tls: StoreTls) -> dict[str, Any]:
    files = {"ssl_ca_certs": tls.authority, "ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    return {"name": tls.name, "ssl_check_hostname": True, **{key: it and str(it) for key, it in files.items()}}
