"""A filter's place in a proxy of Istio's, which has an answer of its own until the filter's code is there."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.config_source_pb2 import ApiConfigSource, ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.grpc_credential.v3.file_based_metadata_pb2 import FileBasedMetadataConfig
from envoy.config.rbac.v3 import rbac_pb2 as rules
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.path_pb2 import PathMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.message import Message

from appnet.processors.envoy.listeners import discovered_filter
from appnet.processors.envoy.pieces import IDLE_TYPE
from appnet.processors.envoy.proxy.bootstrap import XDS_CLUSTER
from appnet.processors.processor import ControlPlane

_TIMEOUT_SECONDS = 2
"""How long a listener waits for the code. Without an end, a proxy whose code never comes would never be ready."""

_POLICY = "appnet-has-no-code-yet"
_WHO_ASKS = "./var/run/secrets/tokens/istio-token"  # the pod's service account's, where Istio mounts it
_BY_FILE = "envoy.grpc_credentials.file_based_metadata"
_CHANNEL = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1_000,  # also how long an attempt to connect may take
    "grpc.max_reconnect_backoff_ms": 1_000,
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.max_receive_message_length": -1,  # without a limit: modules come in messages
}


def filter_of_istiod(name: str, methods: Iterable[str]) -> HttpFilter:
    """The filter ``name``, whose configuration istiod sends by ECDS.

    While there is none, since it has not come yet or the proxy refused the first one, calls of the methods (paths) are
    PERMISSION_DENIED; others pass.
    """
    return _filling_in(discovered_filter(name), _denying(methods))


def filter_of_control_plane(name: str, methods: Iterable[str], control: ControlPlane, *, closed: bool) -> HttpFilter:
    """The same, with a configuration from AppNet's control plane; not ``closed``: all calls pass while there is none.

    What the chain has no elements for comes as a filter that does nothing.
    """
    asked = discovered_filter(name)
    asked.config_discovery.type_urls.append(IDLE_TYPE)
    source = asked.config_discovery.config_source
    source.ClearField("ads")
    source.api_config_source.CopyFrom(_asking(control))
    return _filling_in(asked, _denying(methods) if closed else HeaderMutation())


def _filling_in(asked: HttpFilter, default: Message) -> HttpFilter:
    discovery = asked.config_discovery
    discovery.config_source.initial_fetch_timeout.FromSeconds(_TIMEOUT_SECONDS)
    discovery.default_config.Pack(default)
    if discovery.default_config.type_url not in discovery.type_urls:
        discovery.type_urls.append(discovery.default_config.type_url)
    return asked


def _asking(control: ControlPlane) -> ApiConfigSource:
    """A stream to the control plane, opened by gRPC's own client: Envoy's would need a cluster of the bootstrap."""
    source = ApiConfigSource(
        api_type=ApiConfigSource.GRPC,
        transport_api_version=ApiVersion.V3,
        set_node_on_first_message_only=True,
    )
    google = source.grpc_services.add().google_grpc
    google.target_uri = str(control.address)
    google.stat_prefix = XDS_CLUSTER
    google.channel_credentials.ssl_credentials.root_certs.inline_string = control.root_certificate
    google.credentials_factory_name = _BY_FILE
    google.call_credentials.append(_token())
    for key, value in _CHANNEL.items():
        google.channel_args.args[key].int_value = value
    return source


def _token() -> GrpcService.GoogleGrpc.CallCredentials:
    """Who asks: the token of the workload's service account, read anew for each stream."""
    credentials = GrpcService.GoogleGrpc.CallCredentials()
    config = FileBasedMetadataConfig(header_key="authorization", header_prefix="Bearer ")
    config.secret_data.filename = _WHO_ASKS
    credentials.from_plugin.name = _BY_FILE
    credentials.from_plugin.typed_config.Pack(config)
    return credentials


def _denying(methods: Iterable[str]) -> RBAC:
    policy = rules.Policy(permissions=map(_permission, sorted(methods)), principals=[rules.Principal(any=True)])
    return RBAC(rules=rules.RBAC(action=rules.RBAC.DENY, policies={_POLICY: policy}))


def _permission(method: str) -> rules.Permission:
    return rules.Permission(url_path=PathMatcher(path=StringMatcher(exact=method)))
