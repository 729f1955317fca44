"""Proxies as in a cluster, without one: Envoys with static listeners whose filters come by ECDS, and what they run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from appnet.application.model import EdgeEnd, Side
from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import built_also, compile_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from appnet.processors.admission import LIMITS, Limits
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.cluster.identity import LOADER
from appnet.processors.envoy.cluster.server import ClusterServer
from appnet.processors.envoy.filters import FILTER_TYPES
from appnet.processors.envoy.native.loader import MODULES, loader_identity, loader_library
from appnet.processors.envoy.pieces import IDLE_TYPE
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.processor import Caller, ClusterNode, Group, Serving
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ClientTls, ServerTls
from tests.quickstart.support import sample
from tests.support.proxies import KEY, TRUSTING
from tests.support.raw_grpc import RawClient, Reply, frame, string_field

PATH = "/echo.EchoService/echo"
SERVER = Caller("default", "echo-server")
END = EdgeEnd("frontend", "server", Side.SERVER)
CHAIN = "appnet.frontend_server.echo.server"
IDLE = "appnet.frontend_server.echo.idle"
GROUP = Group(
    "default/echo/server", "default", "sidecar", END, {"app": "server"}, frozenset({"echo-server"}), (CHAIN, IDLE), 1
)
LABELS = {"app": "server", "pod-template-hash": "77d5"}

_RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
_FILE = "envoy.grpc_credentials.file_based_metadata"


@cache
def artifacts(word: str, *targets: str) -> tuple[Artifact, ...]:
    """What refuses messages that are this word, on the server's side, built for these targets."""

    def compiled(target: str) -> list[Artifact]:
        found = compile_application(load_application(FileSource(config)), Settings(), Where(target)).artifacts
        return [it for it in found if it.end == END]

    with tempfile.TemporaryDirectory() as folder:
        config = sample(Path(folder))
        firewall = config.with_name("firewall.appnet")
        firewall.write_text(firewall.read_text().replace("'test'", f"'{word}'"))
        several = [compiled(it) for it in targets]
    found = tuple(replace(first, others=tuple(rest)) for first, *rest in zip(*several, strict=True))
    assert [it.name for it in found] == [CHAIN]
    return found


def sharing(folder: Path, processor: str, store: str = "redis://store:6379", element: str = "") -> tuple[Artifact, ...]:
    """What shares state on the server's side in a store, whose password is in the Secret ``fig``: a quota, or this
    element."""
    config = sample(folder)
    text = config.read_text().replace("    - sidecar\n", f"    - {processor}\n")
    config.write_text(text.replace("spec:\n", f"spec:\n  state: {{store: '{store}', secret: fig}}\n"))
    quota = Path("config/samples/shared/global_quota.appnet").read_text()
    config.with_name("firewall.appnet").write_text(element or quota)
    version = compile_application(load_application(FileSource(config)), Settings(), Where())
    if processor == "sidecar":
        version = built_also(version, "wasm")
    return tuple(it for it in version.artifacts if it.end == END)


def damaged(artifact: Artifact) -> Artifact:
    """The same, with code that nothing loads."""
    return replace(artifact, binary=b"damaged" + artifact.binary[7:])


class Tokens:
    """`Authenticate`: knows these tokens and certificates, and notes whom it was asked about."""

    def __init__(self, known: Mapping[str, Caller]) -> None:
        self.known = dict(known)
        self.asked: list[str] = []

    async def __call__(self, token: str | None, peer: str | None) -> Caller | None:
        await asyncio.sleep(0.01)
        shown = token or peer or ""
        self.asked.append(shown)
        return self.known.get(shown)


@dataclass
class Control:
    """A control plane that gives each node that arrives a version, and notes who comes and goes."""

    version: str = ""
    artifacts: Sequence[Artifact] = ()
    events: list[str] = field(default_factory=list)

    def arrived(self, node: ClusterNode) -> None:
        self.events.append(f"+{node.name}")
        if self.version:
            node.offer(self.version, self.artifacts)

    def left(self, node: ClusterNode) -> None:
        self.events.append(f"-{node.name}")


@contextlib.asynccontextmanager
async def serving(
    control: Control,
    authenticate: Any,
    *,
    bind: Address = ANY_LOCAL_PORT,
    tls: ServerTls | None = None,
    groups: Sequence[Group] | None = (GROUP,),
    loader: str = "",
    limits: Limits = LIMITS,
    identity_seconds: float = 1800.0,
    linger: float = 0.1,
) -> AsyncIterator[ClusterServer]:
    server = ClusterServer(
        Serving(bind, tls, authenticate, control.arrived, control.left, KEY),
        loader=loader or loader_identity(), limits=limits, identity_seconds=identity_seconds, linger=linger,
    )  # fmt: skip
    async with server.started():
        if groups is not None:
            server.expect(groups)
        yield server


@dataclass(frozen=True)
class Pod:
    """Where a proxy stands, as it says itself. ``token``: the file of its service account's; without, it shows a
    certificate of ``tls``, or nothing. ``modules``: where the loader is. ``collector``: where telemetry goes."""

    upstream: Address
    control: Address
    name: str = "server-1"
    namespace: str = "default"
    account: str = "echo-server"
    labels: Mapping[str, str] = field(default_factory=lambda: LABELS)
    loader: str = field(default_factory=loader_identity)
    chains: Sequence[str] = (CHAIN, IDLE)
    token: Path | None = None
    tls: ClientTls | None = None
    modules: Path = field(default_factory=lambda: loader_library().parent)
    collector: Address | None = None


class ClusterEnvoy(EnvoyProcess):
    """An Envoy in a pod."""

    def __init__(self, folder: Path, pod: Pod) -> None:
        identity = Identity(f"sidecar~127.0.0.1~{pod.name}.{pod.namespace}~svc", "server")
        super().__init__(
            EnvoySettings(identity, folder, pod.control, environment={**TRUSTING, MODULES: str(pod.modules)})
        )
        self.pod = pod

    def bootstrap(self) -> str:
        return json.dumps(bootstrap(self.settings.identity.node, self.pod))

    async def call(self, body: str) -> Reply:
        port = (await self.listener_address("inbound")).port

        def blocking() -> Reply:
            with RawClient(port) as client:
                return client.call(PATH, frame(string_field(1, body.encode())))

        return await asyncio.to_thread(blocking)

    async def outcome(self, body: str) -> str:
        """The status and message that a caller gets."""
        reply = await self.call(body)
        return f"{reply.grpc_status} {reply.header('grpc-message') or ''}".strip()

    async def reloads(self) -> dict[str, int]:
        """How often each filter got a configuration."""
        found = await self.admin.stats("extension_config_discovery.*config_reload$")
        return {name.split("http_filter.")[1].removesuffix(".config_reload"): count for name, count in found.items()}


def bootstrap(node: str, pod: Pod) -> dict[str, Any]:
    metadata = {
        "NAME": pod.name, "NAMESPACE": pod.namespace, "SERVICE_ACCOUNT": pod.account, "LABELS": dict(pod.labels),
        LOADER: pod.loader,
    }  # fmt: skip
    filters: list[dict[str, Any]] = [_discovered(it, pod) for it in pod.chains]
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": routes}]},
        "http_filters": [*filters, {"name": "router", "typed_config": router}],
    }
    listener = {
        "name": "inbound",
        "address": _address(ANY_LOCAL_PORT),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [_cluster("app", pod.upstream), _cluster("appnet-xds", pod.control, pod.tls)]
    if pod.collector is not None:
        clusters.append(_cluster("appnet-telemetry", pod.collector, version="http"))
    return {
        "node": {"id": node, "cluster": "server", "metadata": metadata},
        "admin": {"address": _address(ANY_LOCAL_PORT)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def _discovered(name: str, pod: Pod) -> dict[str, Any]:
    deny = {"action": "DENY", "policies": {"closed": {"permissions": [{"any": True}], "principals": [{"any": True}]}}}
    api = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [_by_google(pod) if pod.token is not None else _by_envoy()],
    }
    source = {"resource_api_version": "V3", "initial_fetch_timeout": "2s", "api_config_source": api}
    discovery = {
        "config_source": source,
        "type_urls": [*FILTER_TYPES, IDLE_TYPE, _RBAC],
        "default_config": {"@type": _RBAC, "rules": deny},
    }
    return {"name": name, "config_discovery": discovery}


def _by_envoy() -> dict[str, Any]:
    back_off = {"base_interval": "0.1s", "max_interval": "1s"}
    return {"envoy_grpc": {"cluster_name": "appnet-xds", "retry_policy": {"retry_back_off": back_off}}}


def _by_google(pod: Pod) -> dict[str, Any]:
    assert pod.tls is not None
    plugin = {
        "name": _FILE,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
            "secret_data": {"filename": str(pod.token)},
            "header_key": "authorization",
            "header_prefix": "Bearer ",
        },
    }
    backoff = {f"grpc.{it}_reconnect_backoff_ms": {"int_value": 200} for it in ("min", "initial", "max")}
    google = {
        "target_uri": str(pod.control),
        "stat_prefix": "appnet",
        "channel_credentials": {"ssl_credentials": {"root_certs": {"filename": str(pod.tls.ca)}}},
        "credentials_factory_name": _FILE,
        "call_credentials": [{"from_plugin": plugin}],
        "channel_args": {"args": backoff},
    }
    return {"google_grpc": google}


def _cluster(name: str, address: Address, tls: ClientTls | None = None, version: str = "http2") -> dict[str, Any]:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    spoken = {"explicit_http_config": {f"{version}_protocol_options": {}}}
    hosts = [{"lb_endpoints": [{"endpoint": {"address": _address(address)}}]}]
    found: dict[str, Any] = {
        "name": name,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": hosts},
        "typed_extension_protocol_options": {options: {"@type": f"type.googleapis.com/{options}", **spoken}},
    }
    if tls is not None:
        common: dict[str, Any] = {
            "alpn_protocols": ["h2"],
            "validation_context": {"trusted_ca": {"filename": str(tls.ca)}},
        }
        if tls.certificate is not None:
            shown = {"certificate_chain": {"filename": str(tls.certificate)}, "private_key": {"filename": str(tls.key)}}
            common["tls_certificates"] = [shown]
        context = {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": common,
        }
        found["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return found


def _address(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}
