"""The ways on which calls of the echo application travel: through sidecars, reached or intercepted, or a waypoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appnet.processors.envoy.proxy.binary import envoy_binary
from appnet.system.address import Address
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.hbone import tunnel_json
from tests.kubernetes.interception import Redirect, intercept
from tests.kubernetes.pods import (
    CLIENT_POD,
    MESH,
    PORT,
    SERVER,
    SERVER_POD,
    SERVER_PROGRAM,
    WORKLOAD,
    Pod,
    start_sidecar,
    stop_sidecar,
)

_INBOUND, _OUTBOUND = 15006, 15001  # where Istio's sidecars take what is intercepted
_SERVER_GROUP, _CLIENT_GROUP = 1337, 1338
_TUNNEL_ADMIN = 15931


@dataclass(frozen=True)
class Mesh:
    """One way. ``objects`` are the mesh's own; ``program``: where the server's program listens; ``entrance``: where
    calls of the client's go in."""

    name: str
    configuration: str
    objects: str
    pods: Sequence[Pod]
    program: Address
    entrance: Address
    redirects: Sequence[Redirect] = ()

    def __str__(self) -> str:
        return self.name

    def start(self, cluster: Cluster, metadata_of: Callable[[Pod], Mapping[str, str]]) -> None:
        """Its proxies, each with what its pod's template gives it."""
        for it in self.pods:
            start_sidecar(cluster, it, metadata_of(it))
        if self.redirects:
            intercept(*self.redirects)

    def stop(self, cluster: Cluster) -> None:
        """Those that are there."""
        if self.redirects:
            intercept()
        for it in reversed(self.pods):
            if it.name in cluster.processes:
                stop_sidecar(cluster, it)


@dataclass(frozen=True)
class Tunnelled(Mesh):
    """Through a waypoint, as ztunnel does on the client's node: by mTLS as the client, and a CONNECT in it."""

    def start(self, cluster: Cluster, metadata_of: Callable[[Pod], Mapping[str, str]]) -> None:
        """The waypoint, and the tunnel to it."""
        certificates = cluster.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        cluster.kubectl("label", "namespace", "default", "istio.io/use-waypoint=waypoint", "--overwrite")
        for it in self.pods:
            own = {"OUTPUT_CERTS": str(certificates)} if it.role == "sidecar" else _LIKE_VANILLA
            start_sidecar(cluster, it, {**own, **metadata_of(it)})
        await_("the client's certificate", (certificates / "cert-chain.pem").exists)
        host = cluster.kubectl("get", "service", "server", "-o", "jsonpath={.spec.clusterIP}")
        bootstrap = tunnel_json(certificates, WAYPOINT_POD.address, Address(host, PORT), self.entrance, _TUNNEL_ADMIN)
        file = Path(cluster.folder / "tunnel.json")
        file.write_text(bootstrap)
        cluster.run("tunnel", [envoy_binary(), "-c", file, "--use-dynamic-base-id", "--concurrency", "1"])

    def stop(self, cluster: Cluster) -> None:
        """Those that are there."""
        if "tunnel" in cluster.processes:
            cluster.stop("tunnel")
        super().stop(cluster)
        cluster.kubectl("label", "namespace", "default", "istio.io/use-waypoint-")


WAYPOINT_POD = Pod("waypoint-1", "waypoint", "waypoint", "127.0.0.9", (15300, 15320, 15390, 15321), role="waypoint")
_LIKE_VANILLA = {"ISTIO_META_ISTIO_VERSION": "1.29.0"}
"""Later waypoints are asked for extensions that Envoy has in Istio's own build alone."""

_WAYPOINT = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: server-1}}
spec: {{address: {SERVER}, labels: {{app: server}}, serviceAccount: echo-server}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: waypoint, labels: {{istio.io/waypoint-for: all}}}}
spec: {{gatewayClassName: istio-waypoint, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: waypoint, labels: {WAYPOINT_POD.labels}}}
spec:
  selector: {{gateway.networking.k8s.io/gateway-name: waypoint}}
  ports: [{{name: mesh, port: 15008, appProtocol: all}}, {{name: status-port, port: 15021, appProtocol: tcp}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: waypoint-1}}
spec: {{address: {WAYPOINT_POD.address}, labels: {WAYPOINT_POD.labels}, serviceAccount: waypoint}}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: like-vanilla, namespace: istio-system}}
spec:
  priority: -100
  targetRefs: [{{group: gateway.networking.k8s.io, kind: GatewayClass, name: istio-waypoint}}]
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener:
        filterChain:
          filter:
            name: envoy.filters.network.http_connection_manager
            subFilter: {{name: waypoint_downstream_peer_metadata}}
    patch: {{operation: REMOVE}}
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener:
        filterChain:
          filter:
            name: envoy.filters.network.http_connection_manager
            subFilter: {{name: waypoint_upstream_peer_metadata}}
    patch: {{operation: REMOVE}}
"""
"""The Gateway, what Istio would make of it, and what takes away filters that Envoy has in Istio's own build alone."""

SIDECARS = Mesh(
    "sidecars",
    "sample_echo_sidecar.yaml",
    MESH,
    (SERVER_POD, CLIENT_POD),
    Address("127.0.0.1", SERVER_PROGRAM),
    Address("127.0.0.1", PORT),
)
INTERCEPTED_SERVER = replace(
    SIDECARS,
    name="intercepted at the server",
    objects=WORKLOAD,
    pods=(replace(SERVER_POD, interception="REDIRECT", group=_SERVER_GROUP), CLIENT_POD),
    program=Address(SERVER, PORT),
    redirects=(Redirect(SERVER, PORT, _INBOUND, _SERVER_GROUP),),
)
INTERCEPTED_CLIENT = replace(
    SIDECARS,
    name="intercepted at the client",
    pods=(SERVER_POD, replace(CLIENT_POD, interception="REDIRECT", group=_CLIENT_GROUP)),
    redirects=(Redirect("127.0.0.1", PORT, _OUTBOUND, _CLIENT_GROUP),),
)
WAYPOINT = Tunnelled(
    "waypoint",
    "sample_echo_ambient.yaml",
    _WAYPOINT,
    (WAYPOINT_POD, CLIENT_POD),
    Address(SERVER, PORT),
    Address("127.0.0.1", PORT + 1),
)
ALL = (SIDECARS, INTERCEPTED_SERVER, INTERCEPTED_CLIENT, WAYPOINT)
