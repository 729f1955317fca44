"""What an Envoy is told at its start: who it is and where its controller and its telemetry sink are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.core.v3.config_source_pb2 import ApiConfigSource, ApiVersion
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.credential_injector.v3.credential_injector_pb2 import CredentialInjector
from envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from envoy.extensions.http.injected_credentials.generic.v3.generic_pb2 import Generic
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import SubjectAltNameMatcher
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from appnet.processors.processor import Contact
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ClientTls
from appnet.system.token import read_token

XDS_CLUSTER = "appnet-xds"
TELEMETRY_CLUSTER = "appnet-telemetry"
"""The cluster that chains post OTLP/HTTP to; part of the contract with the runtime's hosts."""

# After so many streams, of which half were reset young, Envoy closes a connection, and with it all calls on it. Callers
# whose deadlines are short do nothing else.
_RESETS = "overload.premature_reset_total_stream_count"
_MANY = 1 << 32

_TOKEN = "appnet-token"  # noqa: S105 -- a name
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True)
class Identity:
    """Who a proxy is. ``node`` is unique per process, ``service`` is the application's service it stands beside."""

    node: str
    service: str


def bootstrap_json(identity: Identity, xds: Contact, telemetry: Address | None, admin: Address = ANY_LOCAL_PORT) -> str:
    """The bootstrap of a proxy that takes all its configuration by ADS from ``xds``, as Envoy's JSON. If that is by
    TLS, so are records.

    Without ``telemetry`` the chains' records have nowhere to go and are dropped. Raises `TokenFileError`.
    """
    bootstrap = _begun(identity, admin)
    dynamic = bootstrap.dynamic_resources
    for source in (dynamic.lds_config, dynamic.cds_config):
        source.ads.SetInParent()
        source.resource_api_version = ApiVersion.V3
    ask_for_filters(bootstrap, xds)
    bootstrap.static_resources.clusters.extend(static_clusters(xds, telemetry))
    return MessageToJson(bootstrap, preserving_proto_field_name=True)


def ask_for_filters(bootstrap: Bootstrap, xds: Contact) -> None:
    """Has a proxy connect to its controller by ADS. Raises `TokenFileError`."""
    ads = bootstrap.dynamic_resources.ads_config
    ads.api_type = ApiConfigSource.GRPC
    ads.transport_api_version = ApiVersion.V3
    ads.set_node_on_first_message_only = True
    service = ads.grpc_services.add()
    service.envoy_grpc.cluster_name = XDS_CLUSTER
    # A controller that comes back should find its proxies within a second, not after Envoy's default half minute.
    service.envoy_grpc.retry_policy.retry_back_off.base_interval.FromMilliseconds(100)
    service.envoy_grpc.retry_policy.retry_back_off.max_interval.FromMilliseconds(1000)
    if xds.token is not None:  # a secret, as the admin interface shows metadata
        shown = bootstrap.static_resources.secrets.add(name=_TOKEN)
        shown.generic_secret.secret.inline_string = f"Bearer {read_token(xds.token)}"


def static_clusters(xds: Contact, telemetry: Address | None) -> Iterator[Cluster]:
    """Those of the controller and, if there is one, of who takes records."""
    control = _static_cluster(XDS_CLUSTER, xds.address, xds.tls, http2=True)
    if xds.token is not None:
        _show_token(control)
    yield control
    if telemetry is not None:
        yield _static_cluster(TELEMETRY_CLUSTER, telemetry, xds.tls, http2=False)


def static_bootstrap_json(
    identity: Identity, telemetry: Address | None, admin: Address, resources: Iterable[Message]
) -> str:
    """The bootstrap of a proxy with these listeners and clusters, which nobody configures later, as Envoy's JSON."""
    bootstrap = _begun(identity, admin)
    static = bootstrap.static_resources
    for it in resources:
        (static.listeners if isinstance(it, Listener) else static.clusters).append(it)
    if telemetry is not None:
        bootstrap.static_resources.clusters.append(_static_cluster(TELEMETRY_CLUSTER, telemetry, None, http2=False))
    return MessageToJson(bootstrap, preserving_proto_field_name=True)


def _begun(identity: Identity, admin: Address) -> Bootstrap:
    bootstrap = Bootstrap()
    bootstrap.node.id = identity.node
    bootstrap.node.cluster = identity.service
    bootstrap.admin.address.CopyFrom(envoy_address(admin))
    bootstrap.layered_runtime.layers.add(name="appnet").static_layer.update({_RESETS: _MANY})
    return bootstrap


def envoy_address(address: Address) -> EnvoyAddress:
    """``address`` as Envoy's message."""
    message = EnvoyAddress()
    message.socket_address.address = address.host
    message.socket_address.port_value = address.port
    return message


def http2_options() -> HttpProtocolOptions:
    """Protocol options of a cluster that speaks HTTP/2 without TLS."""
    options = HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.SetInParent()
    return options


def _static_cluster(name: str, address: Address, tls: ClientTls | None, *, http2: bool) -> Cluster:
    cluster = Cluster(name=name, type=Cluster.STATIC if address.is_numeric else Cluster.STRICT_DNS)
    cluster.connect_timeout.FromMilliseconds(1000)
    cluster.load_assignment.cluster_name = name
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.CopyFrom(envoy_address(address))
    if http2:
        options = http2_options()
        # A controller that vanished without closing its connection is noticed, too.
        keepalive = options.explicit_http_config.http2_protocol_options.connection_keepalive
        keepalive.interval.FromSeconds(10)
        keepalive.timeout.FromSeconds(5)
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].Pack(options)
    if tls is not None:
        cluster.transport_socket.name = "envoy.transport_sockets.tls"
        cluster.transport_socket.typed_config.Pack(_tls_to(address, tls, "h2" if http2 else "http/1.1"))
    return cluster


def _show_token(cluster: Cluster) -> None:
    """Has its requests show the token."""
    options = HttpProtocolOptions()
    packed = cluster.typed_extension_protocol_options[_HTTP_OPTIONS]
    packed.Unpack(options)
    generic = Generic(credential=SdsSecretConfig(name=_TOKEN))
    injector = CredentialInjector()
    injector.credential.name = "envoy.http.injected_credentials.generic"
    injector.credential.typed_config.Pack(generic)
    for name, it in (("credential_injector", injector), ("upstream_codec", UpstreamCodec())):
        options.http_filters.add(name=f"envoy.filters.http.{name}").typed_config.Pack(it)
    packed.Pack(options)


def _tls_to(address: Address, tls: ClientTls, protocol: str) -> UpstreamTlsContext:
    """TLS to one who has a certificate of the authority for this very host, not for any."""
    context = UpstreamTlsContext(sni="" if address.is_numeric else address.host)
    common = context.common_tls_context
    common.alpn_protocols.append(protocol)
    common.validation_context.trusted_ca.filename = str(tls.ca)
    expect_name(common, address)
    if tls.certificate is not None:
        shown = common.tls_certificates.add()
        shown.certificate_chain.filename, shown.private_key.filename = str(tls.certificate), str(tls.key)
    return context


def expect_name(common: CommonTlsContext, address: Address) -> None:
    """Takes nothing but a certificate of the address's host."""
    name = common.validation_context.match_typed_subject_alt_names.add()
    name.san_type = SubjectAltNameMatcher.IP_ADDRESS if address.is_numeric else SubjectAltNameMatcher.DNS
    name.matcher.exact = address.host


def use_http2(cluster: Cluster) -> None:
    """Makes ``cluster`` speak HTTP/2 to its hosts."""
    cluster.typed_extension_protocol_options[_HTTP_OPTIONS].Pack(http2_options())
