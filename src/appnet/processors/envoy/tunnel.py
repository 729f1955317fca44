"""How native chains reach stores that their loader cannot speak to itself: through a listener of their own Envoy.

The loader speaks the store's protocol over plain connections. Envoy originates TLS and knows the nodes of clusters: it
listens on a Unix socket, and passes on what comes. The socket is an abstract one. It needs no folder, and everything in
the proxy's network namespace can reach it, as a port of the loopback interface.
"""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.socket_option_pb2 import SocketOption
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.clusters.redis.v3.redis_cluster_pb2 import RedisClusterConfig
from envoy.extensions.filters.network.redis_proxy.v3.redis_proxy_pb2 import RedisProtocolOptions, RedisProxy
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

from appnet.processors.envoy.proxy.bootstrap import envoy_address, expect_name
from appnet.system.address import Address
from appnet.system.certificates import system_authorities
from appnet.system.store_address import Layout, StoreAddress, StoreTls, password_of, read_address

_UNACKNOWLEDGED_MS = 1000  # after which a store is away that takes no packets, as where the loader connects itself
_CONNECT_MS = 500
_ANSWER_SECONDS = 10  # as long as the loader waits for a store that is busy
_REFRESH_SECONDS = 10


@dataclass(frozen=True)
class Tunnel:
    """A way to the store at the address. ``socket``: where it begins, an abstract Unix socket, with a leading `@`."""

    address: str
    socket: str


def store_tunnel(address: str, proxy: str) -> Tunnel | None:
    """The way by which the proxy's chains reach the store; None: they connect to it themselves.

    ``proxy``: what no other proxy of the machine is called.
    """
    if read_address(address).plain:
        return None
    name = hashlib.sha256(f"{proxy}\n{address}".encode()).hexdigest()[:24]
    return Tunnel(address, f"@appnet-store-{name}")


def tunnel_resources(tunnel: Tunnel) -> tuple[Cluster, Listener]:
    """What makes an Envoy the tunnel, certificates and keys included.

    Raises OSError or `TlsFileError` for files that are gone, and `NoPasswordError`.
    """
    store = read_address(tunnel.address)
    name = tunnel.socket.removeprefix("@")
    listener = Listener(name=name)
    listener.address.pipe.path = tunnel.socket
    cluster = _cluster(name, store)
    whole = store.layout is Layout.CLUSTER
    passes = _commands(name, store, cluster) if whole else _bytes(name)
    listener.filter_chains.add().filters.add(name="store").typed_config.Pack(passes)
    return cluster, listener


def _bytes(name: str) -> TcpProxy:
    passed = TcpProxy(stat_prefix=name, cluster=name)
    passed.idle_timeout.FromSeconds(0)
    return passed


def _commands(name: str, store: StoreAddress, cluster: Cluster) -> RedisProxy:
    """Each command to the node that has its keys, whose nodes Envoy asks for, now and again.

    Who sends commands shows the same password as Envoy does.
    """
    cluster.ClearField("type")
    cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    cluster.cluster_type.name = "envoy.clusters.redis"
    nodes = RedisClusterConfig()
    nodes.cluster_refresh_rate.FromSeconds(_REFRESH_SECONDS)
    nodes.cluster_refresh_timeout.FromSeconds(1)
    nodes.redirect_refresh_interval.FromSeconds(1)
    nodes.redirect_refresh_threshold.value = nodes.failure_refresh_threshold = 1
    cluster.cluster_type.typed_config.Pack(nodes)
    proxy = RedisProxy(stat_prefix=name)
    proxy.settings.op_timeout.FromSeconds(_ANSWER_SECONDS)
    proxy.settings.enable_hashtagging = proxy.settings.enable_redirection = True
    proxy.settings.dns_cache_config.name = name  # nodes may be redirected to by name
    proxy.prefix_routes.catch_all_route.cluster = name
    if password := password_of(store):
        shown = RedisProtocolOptions()
        shown.auth_username.inline_string = store.user
        shown.auth_password.inline_string = password
        cluster.typed_extension_protocol_options["envoy.filters.network.redis_proxy"].Pack(shown)
        proxy.downstream_auth_username.inline_string = store.user
        proxy.downstream_auth_passwords.add().inline_string = password
    return proxy


def _cluster(name: str, store: StoreAddress) -> Cluster:
    numeric = all(it.is_numeric for it in store.hosts)
    cluster = Cluster(name=name, type=Cluster.STATIC if numeric else Cluster.STRICT_DNS)
    cluster.connect_timeout.FromMilliseconds(_CONNECT_MS)
    cluster.load_assignment.cluster_name = name
    hosts = cluster.load_assignment.endpoints.add()
    for it in store.hosts:
        hosts.lb_endpoints.add().endpoint.address.CopyFrom(envoy_address(it))
    _watch(cluster)
    if store.tls is not None:
        cluster.transport_socket.name = "envoy.transport_sockets.tls"
        cluster.transport_socket.typed_config.Pack(_tls(store.tls))
    return cluster


def _watch(cluster: Cluster) -> None:
    """Has connections end on which packets vanish."""
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    keepalive.keepalive_time.value = keepalive.keepalive_interval.value = 1
    cluster.upstream_bind_config.socket_options.add(
        level=socket.IPPROTO_TCP,
        name=socket.TCP_USER_TIMEOUT,
        int_value=_UNACKNOWLEDGED_MS,
        state=SocketOption.STATE_PREBIND,
        description="TCP_USER_TIMEOUT",
    )


def _tls(tls: StoreTls) -> UpstreamTlsContext:
    """The files travel inside: the proxy may be on another machine."""
    known_by = Address(tls.name, 0)
    context = UpstreamTlsContext(sni="" if known_by.is_numeric else tls.name)
    common = context.common_tls_context
    common.validation_context.trusted_ca.inline_bytes = (tls.authority or system_authorities()).read_bytes()
    expect_name(common, known_by)
    if tls.certificate is not None and tls.key is not None:
        shown = common.tls_certificates.add()
        shown.certificate_chain.inline_bytes = tls.certificate.read_bytes()
        shown.private_key.inline_bytes = tls.key.read_bytes()
    return context
