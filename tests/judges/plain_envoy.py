"""An Envoy that knows nothing of AppNet: what a case of HTTP/2 meets here is Envoy's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from appnet.processors.envoy.proxy.bootstrap import Identity, envoy_address, use_http2
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.system.address import ANY_LOCAL_PORT, Address

_NAME = "plain"


@contextlib.asynccontextmanager
async def plain_envoy(upstream: Address | None, folder: Path) -> AsyncIterator[Address]:
    """An Envoy with a listener for HTTP/2, a router, and no setting that somebody chose; where it listens.

    Without ``upstream`` it answers everything itself.
    """
    clusters = [_cluster(upstream)] if upstream is not None else []
    async with XdsServer() as xds:
        xds.set_snapshot(_NAME, Snapshot("1", (*clusters, _listener(answers=upstream is None))))
        async with EnvoyProcess(EnvoySettings(Identity(_NAME, _NAME), folder, xds.address)) as envoy:
            await envoy.ready()
            yield await envoy.listener_address(_NAME)


def _cluster(upstream: Address) -> Cluster:
    cluster = Cluster(name=_NAME, type=Cluster.STATIC)
    cluster.load_assignment.cluster_name = _NAME
    host = cluster.load_assignment.endpoints.add().lb_endpoints.add()
    host.endpoint.address.CopyFrom(envoy_address(upstream))
    use_http2(cluster)
    return cluster


def _listener(*, answers: bool) -> Listener:
    manager = HttpConnectionManager(stat_prefix=_NAME, codec_type=HttpConnectionManager.AUTO)
    routes = RouteConfiguration(name=_NAME)
    route = routes.virtual_hosts.add(name=_NAME, domains=["*"]).routes.add()
    route.match.prefix = "/"
    if answers:
        route.direct_response.status = 200
        route.direct_response.body.inline_string = "an answer"
    else:
        route.route.cluster = _NAME
    manager.route_config.CopyFrom(routes)
    manager.http_filters.add(name="router").typed_config.Pack(Router())
    listener = Listener(name=_NAME)
    listener.address.CopyFrom(envoy_address(ANY_LOCAL_PORT))
    listener.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    return listener
