"""A Kubernetes without kubelet, and an Istio: etcd, API server and istiod as processes on loopback.

It takes the ports that such programs take by default, so it wants a network namespace of its own.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import ssl
import struct
import subprocess
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.kubernetes.programs import Programs, etcd, kubectl

_ETCD, _API, _ISTIOD, _ISTIOD_SECURE, _READY, _MONITOR = 2379, 6443, 15010, 15012, 15080, 15014
_TIMEOUT_SECONDS = 120.0
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40  # linux/sockios.h, linux/if.h
_TOKEN = "administrator"
_MESH = {
    "enableAutoMtls": False,
    "rootNamespace": "istio-system",
    "accessLogFile": "",
    "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
    "defaultConfig": {"discoveryAddress": f"127.0.0.1:{_ISTIOD_SECURE}", "tracing": {}},
}
_ISTIOD_ENVIRONMENT = {
    "POD_NAME": "istiod-0",
    "POD_NAMESPACE": "istio-system",
    "REVISION": "default",
    "CLUSTER_ID": "Kubernetes",
    # What asks for extensions that Envoy has in Istio's own build alone.
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "AMBIENT_ENABLE_BAGGAGE": "false",
    "AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT": "false",
    "PILOT_ENABLE_AMBIENT": "true",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "ENABLE_LEADER_ELECTION": "false",
    "UNSAFE_ENABLE_ADMIN_ENDPOINTS": "true",
    "ENABLE_DEBUG_ENDPOINT_AUTH": "false",
    "PILOT_DEBOUNCE_AFTER": "20ms",
}


def await_(what: str, done: Callable[[], Any], seconds: float = _TIMEOUT_SECONDS) -> Any:
    """What ``done`` gives once that is true."""
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, f"gave up waiting: {what}"
        time.sleep(0.05)
    return found


def answers(url: str) -> str:
    """The page, or an empty text where there is none."""
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as page:
            return page.read().decode() or " "
    except (urllib.error.URLError, OSError):
        return ""


def _bring_up_loopback() -> None:
    """In a new network namespace it is down."""
    request = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


@dataclass
class Cluster:
    """Running from `start` to `stop`. ``folder`` gets its state and logs."""

    programs: Programs
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _started: dict[str, tuple[list[Any], Mapping[str, str] | None, Path | None]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """How kubectl and others find it."""
        beside = f"{kubectl().parent}:{os.environ['PATH']}"
        return {**os.environ, "KUBECONFIG": str(self.folder / "kubeconfig"), "PATH": beside}

    def start(self) -> None:
        """Everything, in the order in which one needs the other."""
        _bring_up_loopback()
        (self.folder / "api").mkdir(parents=True)
        self._credentials()
        own = f"http://127.0.0.1:{_ETCD}"
        options = {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": own,
            "advertise-client-urls": own,
            "listen-peer-urls": "http://127.0.0.1:2380",
        }
        self.run("etcd", [etcd(), "--unsafe-no-fsync", *_flags(options)])
        await_("etcd", lambda: answers(f"{own}/health"))
        self._api_server(own)
        await_("the API server", lambda: answers(f"https://127.0.0.1:{_API}/readyz") == "ok")
        definitions = [text for it in self.programs.definitions for text in ("-f", str(it))]
        self.kubectl("apply", "--server-side", *definitions)
        self.kubectl("create", "namespace", "istio-system")
        self.kubectl("wait", "--for=condition=established", "crd", "--all", "--timeout=60s")
        self.start_istiod()

    def start_istiod(self) -> None:
        """Istio's control plane alone."""
        home = self.folder / "istiod"
        home.mkdir(exist_ok=True)
        (self.folder / "mesh.yaml").write_text(yaml.safe_dump(_MESH))
        options = {
            "kubeconfig": self.folder / "kubeconfig",
            "meshConfig": self.folder / "mesh.yaml",
            "networksConfig": "/dev/null",
            "ctrlz_address": "127.0.0.1",
            "grpcAddr": f"127.0.0.1:{_ISTIOD}",
            "httpAddr": f"127.0.0.1:{_READY}",
            "monitoringAddr": f"127.0.0.1:{_MONITOR}",
            "secureGRPCAddr": f"127.0.0.1:{_ISTIOD_SECURE}",
            "httpsAddr": "127.0.0.1:15017",
        }
        command = [self.programs.istiod, "discovery", *_flags(options)]
        self.run("istiod", command, {**_ISTIOD_ENVIRONMENT, "HOME": str(home)}, home)
        await_("istiod", lambda: answers(f"http://127.0.0.1:{_READY}/ready"))

    def refused(self) -> float:
        """How many configurations of filters proxies have refused."""
        lines = answers(f"http://127.0.0.1:{_MONITOR}/metrics").splitlines()
        return sum(
            float(it.split()[-1]) for it in lines if it.startswith("pilot_total_xds_rejects{") and 'type="ecds"' in it
        )

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl prints; where it fails, so does the test."""
        command = [str(kubectl()), *arguments]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, env=self.environment, check=False, timeout=120
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Applies objects of the test's own."""
        self.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(objects))

    def run(
        self, name: str, command: list[Any], environment: Mapping[str, str] | None = None, where: Path | None = None
    ) -> None:
        """Starts a program that `stop` ends, and whose log is ``NAME.log``."""
        self._started[name] = command, environment, where
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                list(map(str, command)),
                env={**self.environment, **(environment or {})},
                cwd=where or self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, *names: str) -> None:
        """Ends these programs, or all, the last one first."""
        for name in names or list(self.processes)[::-1]:
            process = self.processes.pop(name)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def restart(self, name: str, how: signal.Signals) -> None:
        """Ends a program by this signal, and starts it again as it was."""
        process = self.processes[name]
        os.killpg(process.pid, how)
        process.wait()
        command, environment, where = self._started[name]
        self.run(name, command, environment, where)
        await_("the API server", lambda: answers(f"https://127.0.0.1:{_API}/readyz") == "ok")

    def log(self, name: str) -> str:
        """What the program has printed; nothing where it has not been started."""
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def _credentials(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (self.folder / "sa.key").write_bytes(pem)
        (self.folder / "tokens.csv").write_text(f'{_TOKEN},admin,1,"system:masters"\n')
        (self.folder / "kubeconfig").write_text(
            textwrap.dedent(f"""\
                apiVersion: v1
                kind: Config
                clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{_API}", insecure-skip-tls-verify: true}}}}]
                users: [{{name: u, user: {{token: {_TOKEN}}}}}]
                contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
                current-context: x
            """)
        )

    def _api_server(self, store: str) -> None:
        key = self.folder / "sa.key"
        options = {
            "etcd-servers": store,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": _API,
            "cert-dir": self.folder / "api",
            "service-cluster-ip-range": "10.96.0.0/16",
            "endpoint-reconciler-type": "none",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "token-auth-file": self.folder / "tokens.csv",
            "authorization-mode": "RBAC",
            "disable-admission-plugins": "ServiceAccount",
        }
        self.run("apiserver", [self.programs.kube_apiserver, *_flags(options)])


def _flags(options: Mapping[str, object]) -> list[str]:
    return [f"--{name}={it}" for name, it in options.items()]
