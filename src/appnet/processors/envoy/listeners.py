"""The xDS resources of a proxy that stands beside a service: one listener, its chain's filters, one cluster.

A client-side proxy listens for its application's calls and sends them to the server-side proxy; a server-side proxy
listens for those and sends them to the application. For Envoy both are the same: gRPC comes in on one port, passes the
filters in order and leaves to a cluster whose hosts come by EDS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLogFilter, ComparisonFilter
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import HeaderValueOption, RoutingPriority
from envoy.config.core.v3.config_source_pb2 import ApiVersion, ConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as HeaderToMetadata
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    ResponseMapper,
)
from envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import HeaderMutation
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.message import Message

from appnet.application.model import DEFAULT_MAX_MESSAGE
from appnet.language.operations.metadata import DELAY, HIDDEN_KEYS, HOST
from appnet.language.statuses import STATUS_CODES
from appnet.processors.envoy.filters import FILTER_TYPES
from appnet.processors.envoy.proxy.bootstrap import envoy_address, use_http2
from appnet.processors.envoy.replies import idle_reply_filter, route_with_replies
from appnet.system.address import ANY_LOCAL_PORT, Address

# What a filter may have to buffer beside one message: its frame header and the start of what follows.
_BUFFER_SLACK = 256 << 10
_MANY = 1 << 20
_DELAY = "delay"
_REPLY = "reply"
_LB_NAMESPACE = "envoy.lb"  # where Envoy looks for what a host is chosen by


_STEP = 1.25
_LADDER_MS = sorted({0, *(round(_STEP**it) for it in range(83))}, reverse=True)  # from over a day
# The timeout as CEL writes durations.
_UNITS = {"n": "ns", "u": "us", "m": "ms", "S": "s", "M": "m", "H": "h"}
_TIMEOUT = 'request.headers["grpc-timeout"]' + "".join(f'.replace("{it}", "{cel}")' for it, cel in _UNITS.items())


@dataclass(frozen=True)
class Sidecar:
    """What one proxy does.

    ``listener`` names its listener, bound to ``bind`` (port 0: read it back with ``EnvoyProcess.listener_address``).
    ``filters`` are the names of its chain's filters in request order; each arrives by ECDS under that name, and the
    listener does not open before all have. ``upstream`` are the hosts calls leave to, at any time replaceable.
    ``max_message`` is the longest gRPC message in bytes that the filters must be able to hold.
    ``chooses_host``: a call goes to the host whose number, from 0, the chain has put in the header `HOST`; to any
    host where that is no host's number, or not there. ``delays``: a call waits for as long as the chain has put in the
    header `DELAY`. No server sees these headers, and a caller's have no effect.
    ``replies``: wasm modules may answer calls with messages.
    ``idle_seconds``: for calls of some methods, by path, after how long without a byte either way they end. Calls of
    others may be silent for ever.
    """

    listener: str
    filters: Sequence[str]
    upstream: Sequence[Address]
    bind: Address = ANY_LOCAL_PORT
    max_message: int = DEFAULT_MAX_MESSAGE
    chooses_host: bool = False
    delays: bool = False
    replies: bool = False
    idle_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def cluster(self) -> str:
        """Name of the cluster that calls leave to."""
        return f"{self.listener}-upstream"


def sidecar_resources(sidecar: Sidecar) -> list[Message]:
    """Cluster, endpoints, listener and routes: all a proxy needs beside its filters' configurations."""
    return [upstream_cluster(sidecar), upstream_endpoints(sidecar), chain_listener(sidecar), chain_routes(sidecar)]


def static_cluster(sidecar: Sidecar) -> Cluster:
    """The cluster with its hosts in it, whose names are looked up again and again."""
    cluster = upstream_cluster(sidecar)
    cluster.ClearField("eds_cluster_config")
    cluster.type = Cluster.STRICT_DNS
    cluster.load_assignment.CopyFrom(upstream_endpoints(sidecar))
    return cluster


def static_listener(sidecar: Sidecar, filters: Iterable[TypedExtensionConfig]) -> Listener:
    """The listener with its routes and these filters in it."""
    listener = chain_listener(sidecar)
    packed = listener.filter_chains[0].filters[0].typed_config
    manager = HttpConnectionManager.FromString(packed.value)
    manager.ClearField("rds")
    manager.route_config.CopyFrom(chain_routes(sidecar))
    configurations = {it.name: it.typed_config for it in filters}
    for it in manager.http_filters:
        if it.name in configurations:
            it.typed_config.CopyFrom(configurations[it.name])
    packed.Pack(manager)
    return listener


def upstream_cluster(sidecar: Sidecar) -> Cluster:
    """The cluster, with hosts by EDS, HTTP/2 to them, and no limit that an application would meet before its own."""
    cluster = Cluster(name=sidecar.cluster, type=Cluster.EDS)
    cluster.connect_timeout.FromMilliseconds(1000)
    cluster.eds_cluster_config.eds_config.CopyFrom(_ads())
    cluster.per_connection_buffer_limit_bytes.value = buffer_limit(sidecar.max_message)
    limits = cluster.circuit_breakers.thresholds.add(priority=RoutingPriority.DEFAULT)
    for limit in (limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries):
        limit.value = _MANY
    use_http2(cluster)
    if sidecar.chooses_host:
        subsets = cluster.lb_subset_config
        subsets.fallback_policy = Cluster.LbSubsetConfig.ANY_ENDPOINT
        subsets.subset_selectors.add(keys=[HOST], single_host_per_subset=True)
    return cluster


def upstream_endpoints(sidecar: Sidecar) -> ClusterLoadAssignment:
    """The hosts of the cluster."""
    assignment = ClusterLoadAssignment(cluster_name=sidecar.cluster)
    group = assignment.endpoints.add()
    for number, address in enumerate(sidecar.upstream):
        host = group.lb_endpoints.add()
        host.endpoint.address.CopyFrom(envoy_address(address))
        if sidecar.chooses_host:
            host.metadata.filter_metadata[_LB_NAMESPACE][HOST] = str(number)
    return assignment


def chain_listener(sidecar: Sidecar) -> Listener:
    """The listener: HTTP without TLS, the chain's filters, and the router.

    gRPC is HTTP/2; what comes as HTTP/1.1 is answered, too, rather than cut off.
    """
    listener = Listener(name=sidecar.listener)
    listener.address.CopyFrom(envoy_address(sidecar.bind))
    listener.per_connection_buffer_limit_bytes.value = buffer_limit(sidecar.max_message)
    network_filter = listener.filter_chains.add().filters.add(name="http")
    network_filter.typed_config.Pack(_connection_manager(sidecar))
    return listener


def _connection_manager(sidecar: Sidecar) -> HttpConnectionManager:
    manager = HttpConnectionManager(stat_prefix=sidecar.listener, codec_type=HttpConnectionManager.AUTO)
    # One bad stream must not cost its neighbours their connection.
    manager.http2_protocol_options.override_stream_error_on_invalid_http_message.value = True
    manager.stream_idle_timeout.FromSeconds(0)  # a stream may be silent; routes say otherwise where they should
    manager.generate_request_id.value = False  # the proxy pair adds nothing to a call that the chain did not
    manager.server_header_transformation = HttpConnectionManager.PASS_THROUGH
    manager.rds.route_config_name = sidecar.cluster
    manager.rds.config_source.CopyFrom(_ads())
    manager.early_header_mutation_extensions.append(_without_hidden_headers())
    manager.local_reply_config.mappers.append(_unavailable_for_silence())
    manager.local_reply_config.mappers.append(_status_for_reset("DEADLINE_EXCEEDED", late=True))
    manager.local_reply_config.mappers.append(_status_for_reset("CANCELLED"))
    for name in sidecar.filters:
        manager.http_filters.append(discovered_filter(name))
    manager.http_filters.add(name=_DELAY, disabled=True).typed_config.Pack(HTTPFault())
    manager.http_filters.append(idle_reply_filter(_REPLY))
    if sidecar.chooses_host:
        manager.http_filters.add(name="choose-host").typed_config.Pack(_host_from_header())
    router = Router(suppress_envoy_headers=True)
    manager.http_filters.add(name="router").typed_config.Pack(router)
    return manager


def chain_routes(sidecar: Sidecar) -> RouteConfiguration:
    """All calls to the cluster. What may change while the proxy runs stands here: a new listener ends connections."""
    routes = RouteConfiguration(name=sidecar.cluster)
    routes.virtual_hosts.append(_all_calls(sidecar))
    if sidecar.delays:
        routes.virtual_hosts[0].typed_per_filter_config[_DELAY].Pack(delay_by_header())
    if sidecar.replies:
        routes.virtual_hosts[0].typed_per_filter_config[_REPLY].Pack(route_with_replies(_REPLY))
    routes.request_headers_to_remove.extend((DELAY, HOST))
    return routes


def _all_calls(sidecar: Sidecar) -> VirtualHost:
    host = VirtualHost(name=sidecar.cluster, domains=["*"])
    for path, seconds in sidecar.idle_seconds.items():
        silent = _route(sidecar.cluster)
        silent.match.path = path
        silent.route.idle_timeout.FromTimedelta(timedelta(seconds=seconds))
        host.routes.append(silent)
    every = _route(sidecar.cluster)
    every.match.prefix = "/"
    host.routes.append(every)
    return host


def _route(cluster: str) -> Route:
    """To the cluster, for as long as it takes.

    A deadline is kept by those who know it, caller and server: a proxy that kept it as well would be a little early or
    late, and end calls by a reset, which callers do not take for a deadline.
    """
    route = Route()
    route.route.cluster = cluster
    route.route.timeout.FromSeconds(0)
    return route


def _without_hidden_headers() -> TypedExtensionConfig:
    """Takes away what callers send of `HIDDEN_KEYS`, before any filter sees the call."""
    mutations = HeaderMutation()
    for key in sorted(HIDDEN_KEYS):
        mutations.mutations.add(remove=key)
    extension = TypedExtensionConfig(name="envoy.http.early_header_mutation.header_mutation")
    extension.typed_config.Pack(mutations)
    return extension


def _unavailable_for_silence() -> ResponseMapper:
    """One gRPC code for calls that end for their silence, whether the request had ended or not."""
    mapper = ResponseMapper()
    mapper.filter.response_flag_filter.flags.append("SI")
    mapper.status_code.value = HTTPStatus.GATEWAY_TIMEOUT
    return mapper


def _status_for_reset(code: str, *, late: bool = False) -> ResponseMapper:
    """What callers are told of a server that gives a call up; ``late``: when the call's deadline has come.

    A stream that the server refused, so that another one may try, stays UNAVAILABLE.
    """
    mapper = ResponseMapper()
    given_up = _where('response.code_details.contains("{remote_reset")')
    mapper.filter.CopyFrom(_all(given_up, _is_late()) if late else given_up)
    status = mapper.headers_to_add.add(append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
    status.header.key, status.header.value = "grpc-status", str(STATUS_CODES[code])
    return mapper


def _is_late() -> AccessLogFilter:
    """Whether the time that the call had is over.

    Envoy compares how long a call has lasted with fixed times alone. So there is a ladder of these, and a call counts
    as late once it has lasted as long as the step below its timeout: four fifths of it at least.
    """
    late = AccessLogFilter()
    for step in _LADDER_MS:
        lasted = AccessLogFilter()
        lasted.duration_filter.comparison.op = ComparisonFilter.GE
        lasted.duration_filter.comparison.value.default_value = step
        lasted.duration_filter.comparison.value.runtime_key = "appnet.never_set"
        soon = _where(f'duration({_TIMEOUT}) < duration("{round(step * _STEP) + 1}ms")')
        late.or_filter.filters.append(_all(lasted, soon))
    return late


def _where(expression: str) -> AccessLogFilter:
    """Calls of which the CEL expression is true."""
    expressed = ExpressionFilter(expression=expression)
    expressed.cel_config.enable_string_functions = True
    filter_ = AccessLogFilter()
    filter_.extension_filter.name = "envoy.access_loggers.extension_filters.cel"
    filter_.extension_filter.typed_config.Pack(expressed)
    return filter_


def _all(*filters: AccessLogFilter) -> AccessLogFilter:
    both = AccessLogFilter()
    both.and_filter.filters.extend(filters)
    return both


def delay_by_header() -> HTTPFault:
    """Envoy's fault filter, which does nothing but hold those requests that the chain has marked."""
    filter_ = HTTPFault()
    filter_.delay.header_delay.SetInParent()
    filter_.delay.percentage.numerator = 100
    filter_.delay.percentage.denominator = FractionalPercent.HUNDRED
    return filter_


def _host_from_header() -> HeaderToMetadata:
    """Makes the header that the chain sets what the cluster's subsets are chosen by."""
    filter_ = HeaderToMetadata()
    rule = filter_.request_rules.add(header=HOST)
    rule.on_header_present.metadata_namespace = _LB_NAMESPACE
    rule.on_header_present.key = HOST
    rule.remove = True
    return filter_


def discovered_filter(name: str) -> HttpFilter:
    """A filter of a listener whose configuration, code and all, comes by ECDS."""
    discovered = HttpFilter(name=name)
    source = discovered.config_discovery
    source.config_source.CopyFrom(_ads())
    # Wait for the first version for ever: a listener that opened without it would answer, or worse, in its place.
    source.config_source.initial_fetch_timeout.FromSeconds(0)
    source.type_urls.extend(FILTER_TYPES)
    return discovered


def _ads() -> ConfigSource:
    source = ConfigSource(resource_api_version=ApiVersion.V3)
    source.ads.SetInParent()
    return source


def buffer_limit(max_message: int) -> int:
    """Bytes of a stream that Envoy must be able to hold where messages of so many are judged."""
    return max_message + _BUFFER_SLACK
