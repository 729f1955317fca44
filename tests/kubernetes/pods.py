"""Proxies as in pods, by Istio's own agent: mTLS, an identity, a mount namespace of their own. No kubelet starts them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from appnet.processors.envoy.proxy.binary import envoy_binary
from tests.kubernetes.cluster import Cluster, answers, await_

SERVER = "127.0.0.2"
"""The address of the server's pod. Its program listens on loopback's usual one."""
SERVER_PROGRAM = 19000
PORT = 9000
HOST = f"server.default.svc.cluster.local:{PORT}"
"""As what the client's sidecar knows calls to the server."""

WORKLOAD = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: server-1}}
spec: {{address: {SERVER}, labels: {{app: server, security.istio.io/tlsMode: istio}}, serviceAccount: echo-server}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: strict}}
spec: {{selector: {{matchLabels: {{app: server}}}}, mtls: {{mode: STRICT}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: server}}
spec: {{host: server.default.svc.cluster.local, trafficPolicy: {{tls: {{mode: ISTIO_MUTUAL}}}}}}
"""
"""What stands for the server's pods."""

MESH = f"""{WORKLOAD}---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: server}}
spec:
  workloadSelector: {{labels: {{app: server}}}}
  ingress:
  - port: {{number: {PORT}, protocol: GRPC, name: grpc}}
    bind: {SERVER}
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:{SERVER_PROGRAM}
  egress: [{{hosts: ["istio-system/*"]}}]
"""
"""The same, whose sidecar takes calls at its own address, without interception."""


@dataclass(frozen=True)
class Pod:
    """``ports``: of the admin interface, the agent's status, its metrics and its readiness.

    ``role``: of its proxy; ``interception``: how calls get there; ``group``: whom the proxy runs as.
    """

    name: str
    app: str
    account: str
    address: str
    ports: tuple[int, int, int, int]
    role: str = "sidecar"
    interception: str = "NONE"
    group: int = 0

    @property
    def labels(self) -> dict[str, str]:
        """Those of the pod."""
        if self.role == "waypoint":
            names = ("gateway.networking.k8s.io/gateway-name", "gateway.istio.io/managed")
            return dict(zip(names, (self.app, "istio.io-mesh-controller"), strict=True))
        return {"app": self.app}


CLIENT_POD = Pod("frontend-1", "frontend", "echo-frontend", "127.0.0.3", (15100, 15120, 15190, 15121))
SERVER_POD = Pod("server-1", "server", "echo-server", SERVER, (15200, 15220, 15290, 15221))


def start_sidecar(cluster: Cluster, pod: Pod, metadata: Mapping[str, str] | None = None) -> None:
    """Its proxy with the ``metadata`` that the pod's template gives it; it is there when it is ready."""
    root = cluster.folder / pod.name
    for it in ("var/run/secrets/tokens", "var/run/secrets/istio", "etc/istio/proxy", "etc/istio/pod", "varlib/data"):
        (root / it).mkdir(parents=True, exist_ok=True)
    token = cluster.kubectl("create", "token", pod.account, "--audience=istio-ca", "--duration=24h")
    (root / "var/run/secrets/tokens/istio-token").write_text(token.strip())
    certificate = await_("istiod's certificate", lambda: _root_certificate(cluster))
    (root / "var/run/secrets/istio/root-cert.pem").write_text(certificate)
    admin, status, metrics, ready = pod.ports
    config = {
        "discoveryAddress": "127.0.0.1:15012",
        "binaryPath": str(envoy_binary()),
        "proxyAdminPort": admin,
        "statusPort": status,
        "concurrency": 1,
        "tracing": {},
        "drainDuration": "5s",  # on a slow machine, calls take longer than one
        "terminationDrainDuration": "1s",
    }
    environment = {
        "POD_NAME": pod.name,
        "POD_NAMESPACE": "default",
        "INSTANCE_IP": pod.address,
        "SERVICE_ACCOUNT": pod.account,
        "TRUST_DOMAIN": "cluster.local",
        "CA_ADDR": "127.0.0.1:15012",
        "PILOT_CERT_PROVIDER": "istiod",
        "ENVOY_PROMETHEUS_PORT": str(metrics),
        "ENVOY_STATUS_PORT": str(ready),
        "ISTIO_META_CLUSTER_ID": "Kubernetes",
        "ISTIO_META_MESH_ID": "cluster.local",
        "ISTIO_META_INTERCEPTION_MODE": pod.interception,
        "ISTIO_META_WORKLOAD_NAME": pod.app,
        "ISTIO_METAJSON_LABELS": json.dumps(pod.labels),
        "ISTIO_BOOTSTRAP": str(cluster.programs.bootstrap),
        "PROXY_CONFIG": yaml.safe_dump(config),
        **(metadata or {}),
    }
    as_group = ["setpriv", f"--regid={pod.group}", "--clear-groups"]
    agent = shlex.join(
        [*as_group, str(cluster.programs.pilot_agent), "proxy", pod.role, "--domain", "default.svc.cluster.local"]
    )
    own = f"mkdir -p /var/lib/istio && mount --bind {shlex.quote(str(root / 'varlib'))} /var/lib/istio && exec {agent}"
    cluster.run(pod.name, ["unshare", "--mount", "sh", "-c", own], environment, root)
    await_(f"{pod.name} is ready", lambda: answers(f"http://127.0.0.1:{admin}/ready").startswith("LIVE"))


def stop_sidecar(cluster: Cluster, pod: Pod) -> None:
    """Ends the sidecar and its Envoy."""
    cluster.stop(pod.name)


def await_endpoints(pod: Pod, service: str, addresses: set[str]) -> None:
    """Waits until the sidecar would send calls of a service to these addresses."""

    def known() -> set[str]:
        every = json.loads(answers(f"http://127.0.0.1:{pod.ports[0]}/clusters?format=json") or "{}")
        return {
            host["address"]["socket_address"]["address"]
            for it in every.get("cluster_statuses", ())
            if it["name"].startswith("outbound|") and f"||{service}." in it["name"]
            for host in it.get("host_statuses", ())
        }

    await_(f"{pod.name} knows {service} at {addresses}", lambda: known() == addresses)


_HELPERS = ("-callers", "-delay", "-reply")


def listener_errors(pod: Pod) -> list[str]:
    """What the sidecar's Envoy says of listeners that it refused."""
    dump = json.loads(answers(f"http://127.0.0.1:{pod.ports[0]}/config_dump?resource=dynamic_listeners") or "{}")
    return [it["error_state"]["details"] for it in dump.get("configs", []) if "error_state" in it]


def filters(pod: Pod) -> set[str]:
    """Names of AppNet's filters for chains that some listener of the sidecar has."""
    dump = json.loads(answers(f"http://127.0.0.1:{pod.ports[0]}/config_dump?resource=dynamic_listeners") or "{}")
    return {name for name in _names(dump) if name.startswith("appnet.") and not name.endswith(_HELPERS)}


def _names(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["name"]] if isinstance(value.get("name"), str) else []
        return own + [name for it in value.values() for name in _names(it)]
    return [name for it in value for name in _names(it)] if isinstance(value, list) else []


def _root_certificate(cluster: Cluster) -> str:
    try:
        return cluster.kubectl("get", "configmap", "istio-ca-root-cert", "-o", r"jsonpath={.data.root-cert\.pem}")
    except AssertionError:  # istiod makes it a moment after the namespace
        return ""
