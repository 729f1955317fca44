"""Shared state in a cluster: sidecars share a real store, whose password is in a Secret."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.conftest import Application, EchoServer
from tests.kubernetes.control import NAMESPACE, Controlled, echo_folder, with_texts
from tests.kubernetes.pods import (
    CLIENT_POD,
    PORT,
    SERVER_PROGRAM,
    WORKLOAD,
    Pod,
    await_endpoints,
    start_sidecar,
    stop_sidecar,
)
from tests.kubernetes.stores import FIRST, SECOND, SECRET, STORE, Store, give
from tests.kubernetes.test_controller import FRONTEND, loader_metadata, printed

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

SHARED = Path("config/samples/shared")
NAME = "sample-shared-sidecar"
LIMIT = 20
EXCEEDED, UNAVAILABLE = "RESOURCE_EXHAUSTED", "UNAVAILABLE"
SCOPE = "default.echo/frontend/server"


@dataclass(frozen=True)
class Replica(Pod):
    """One of the server's pods, which the mesh tells apart by a label."""

    replica: str = ""

    @property
    def labels(self) -> dict[str, str]:
        return {"app": self.app, "replica": self.replica}


ONE = Replica("server-1", "server", "echo-server", "127.0.0.2", (15200, 15220, 15290, 15221), replica="one")
TWO = Replica("server-2", "server", "echo-server", "127.0.0.4", (15400, 15420, 15490, 15421), replica="two")


def mesh() -> list[dict[str, Any]]:
    """What stands for the pods: each of the server's takes calls at its own address."""
    _, *rules = yaml.safe_load_all(WORKLOAD)
    network = {"apiVersion": "networking.istio.io/v1"}
    found = [*rules, yaml.safe_load(FRONTEND)]
    for it in (ONE, TWO):
        labels = {**it.labels, "security.istio.io/tlsMode": "istio"}
        spec = {"address": it.address, "labels": labels, "serviceAccount": it.account}
        ingress = {
            "port": {"number": PORT, "protocol": "GRPC", "name": "grpc"},
            "bind": it.address,
            "captureMode": "NONE",
            "defaultEndpoint": f"127.0.0.1:{SERVER_PROGRAM}",
        }
        own = {
            "workloadSelector": {"labels": it.labels},
            "ingress": [ingress],
            "egress": [{"hosts": ["istio-system/*"]}],
        }
        found.append({**network, "kind": "WorkloadEntry", "metadata": {"name": it.name}, "spec": spec})
        found.append({**network, "kind": "Sidecar", "metadata": {"name": it.name}, "spec": own})
    return found


@pytest.fixture
def controlled(cluster: Cluster, tmp_path: Path) -> Iterator[Controlled]:
    """With the rights that it has in a cluster, and those that the sample's Role gives it."""
    found = Controlled(cluster)
    found.install()
    rights = yaml.safe_load_all(cluster.kubectl("kustomize", "config/default"))
    objects = [it for it in rights if it["apiVersion"].startswith("rbac.") or it["kind"] == "ServiceAccount"]
    cluster.apply(*objects)
    token = cluster.kubectl("create", "token", "appnet-controller", "-n", NAMESPACE, "--duration=1h").strip()
    config = yaml.safe_load((cluster.folder / "kubeconfig").read_text())
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = NAMESPACE
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    found.start(environment={"KUBECONFIG": str(tmp_path / "kubeconfig")})
    yield found
    found.stop()
    for it in objects:
        place = ["-n", it["metadata"]["namespace"]] if "namespace" in it["metadata"] else []
        cluster.kubectl("delete", "--ignore-not-found", it["kind"], it["metadata"]["name"], *place)


@pytest.fixture
def echo(controlled: Controlled, store: Store, tmp_path: Path) -> Iterator[Application]:
    """The application: a frontend, and a server of two replicas, whose sidecars run native code."""
    del store  # ends after the sidecars
    cluster = controlled.cluster
    server = EchoServer()
    running = server.start()
    folder = echo_folder(tmp_path)
    cluster.apply(*mesh())
    cluster.kubectl("apply", "-f", str(folder / "echo.yaml"), "-f", str(SHARED / "store.yaml"))
    metadata = loader_metadata(cluster, tmp_path / "loader")
    pods = (ONE, TWO, CLIENT_POD)
    for it in pods:
        start_sidecar(cluster, it, metadata)
    await_endpoints(CLIENT_POD, "server", {ONE.address, TWO.address})
    application = Application(cluster, folder, "native", server)
    try:
        yield application
    finally:
        application.close()
        for it in pods:
            stop_sidecar(cluster, it)
        running.stop(None).wait()
        cluster.kubectl("delete", "appnetconfigs", "--all", "--timeout=100s")
        cluster.kubectl(
            "delete", "-f", str(folder / "echo.yaml"), "-f", str(SHARED / "store.yaml"), "--ignore-not-found"
        )
        cluster.kubectl("delete", "-f", "-", given=yaml.safe_dump_all(mesh()))


TALLY = """
state:
    limit: int
    @consistency(weak) @combiner(sum)
    passed: int

init(limit = 50):
    pass

req(rpc):
    if passed >= limit:
        send(err('enough', RESOURCE_EXHAUSTED), Up)
    passed = passed + 1
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
MOST_TALLIED = 50


def quota(limit: int, change: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """The sample, of which the server's side alone is tried, with a store that there is."""
    spec = with_texts(SHARED, "sample_shared_sidecar.yaml")
    found: dict[str, Any] = spec["spec"]
    del found["clientChain"]
    found["serverChain"] = [it for it in found["serverChain"] if it["name"] == "global_quota"]
    found["serverChain"][0]["parameters"] = {"limit": limit}
    found["state"]["store"] = f"redis://127.0.0.1:{STORE}"
    found["state"]["timeout"] = "3s"  # on a slow machine
    change(found)
    return spec


def ready(controlled: Controlled) -> None:
    controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")


def outcomes(echo: Application, count: int) -> Counter[str]:
    """How so many calls end, some of which go to each replica."""
    return Counter(echo.call(f"call{it}") for it in range(count))


@contextmanager
def calling(echo: Application) -> Iterator[Counter[str]]:
    """Calls without a pause, and how many ended with which code."""
    codes: Counter[str] = Counter()
    over = threading.Event()

    def calls() -> None:
        while not over.is_set():
            codes[echo.call("hello")] += 1

    caller = threading.Thread(target=calls)
    caller.start()
    try:
        yield codes
    finally:
        over.set()
        caller.join()


def test_two_replicas_share_a_quota_whatever_becomes_of_the_store(
    controlled: Controlled, echo: Application, store: Store
) -> None:
    cluster = controlled.cluster
    _begins_with_its_secret(controlled)
    assert outcomes(echo, LIMIT + 10) == {"OK": LIMIT, EXCEEDED: 10}
    meta = store.says(FIRST, "HGETALL", f"{{appnet:{SCOPE}/global_quota}}:meta")
    assert len([it for it in meta if it.startswith(b"last:")]) == 2  # each replica has changed it
    found = printed(cluster, "state", "get", "global_quota.used", "", "--config", NAME)
    assert found.strip() == str(LIMIT)
    well = controlled.await_condition(NAME, "StoreReady", lambda it: it["status"] == "True")
    assert well["message"].startswith(f"the store at 127.0.0.1:{STORE} is Valkey ")
    cluster.apply(quota(1_000_000))
    ready(controlled)
    with calling(echo) as codes:
        _password_rotates(store, cluster, codes)
    assert set(codes) == {"OK"}
    ready(controlled)
    _store_is_away(controlled, echo, store)
    kinds = "envoyfilters,configmaps,controllerrevisions,events,appnetconfigs"
    told = cluster.kubectl("get", kinds, "-A", "-o", "yaml") + controlled.log()
    assert FIRST not in told
    assert SECOND not in told
    stop_sidecar(cluster, TWO)
    start_sidecar(cluster, TWO)  # without the loader
    _weak_state_is_shared_with_what_runs_webassembly(controlled, echo, store)


def _begins_with_its_secret(controlled: Controlled) -> None:
    cluster = controlled.cluster
    cluster.kubectl("delete", "secret", SECRET)
    cluster.apply(quota(LIMIT))
    told = controlled.await_condition(NAME, "Compiled", lambda it: it["status"] == "False")
    assert told["message"] == f"no Secret `{SECRET}` in namespace default"
    error = controlled.status(NAME)["lastError"]
    assert (error["code"], error["place"]) == ("C110", f"AppNetConfig default/{NAME}, spec.state.secret")
    give(cluster, FIRST)
    ready(controlled)


def _password_rotates(store: Store, cluster: Cluster, codes: Counter[str]) -> None:
    """As docs/kubernetes.md says: the store takes both for a while."""
    await_("the new limit holds", lambda: codes["OK"] > 0, 60)
    store.says(FIRST, "ACL", "SETUSER", "default", f">{SECOND}")
    before = store.clients(FIRST)
    give(cluster, SECOND)
    await_("no connection is left by the old password", lambda: not store.clients(SECOND) & before, 60)
    store.says(SECOND, "ACL", "SETUSER", "default", f"<{FIRST}")
    store.says(SECOND, "CLIENT", "KILL", "TYPE", "normal")  # they come again, by the new one alone
    await_("the proxies have connected again", lambda: len(store.clients(SECOND)) >= 2, 60)
    so_far = codes["OK"]
    await_("calls go on", lambda: codes["OK"] > so_far + 20, 60)


def _store_is_away(controlled: Controlled, echo: Application, store: Store) -> None:
    """That holds up no delivery, and what is persistent is there again with the store."""
    store.stop()
    away = controlled.await_condition(NAME, "StoreReady", lambda it: it["status"] == "False")
    assert (away["reason"], "does not reach the store" in away["message"]) == ("Unreachable", True)
    assert echo.call("hello") == UNAVAILABLE
    before = controlled.status(NAME)["version"]
    controlled.cluster.apply(quota(1_000_001))
    controlled.await_condition(NAME, "Delivered", lambda it: it["status"] == "True" and before not in it["message"])
    store.start(SECOND)
    controlled.await_condition(NAME, "StoreReady", lambda it: it["status"] == "True")
    await_("calls pass again", lambda: echo.call("hello") == "OK", 60)


def _weak_state_is_shared_with_what_runs_webassembly(controlled: Controlled, echo: Application, store: Store) -> None:
    """Through the controller's gateway, which has the store's password of now."""
    controlled.cluster.apply(quota(0, lambda it: it.update(serverChain=[{"name": "tally", "inline": TALLY}])))
    ready(controlled)
    assert {it["name"]: it["target"] for it in controlled.status(NAME)["proxies"]} == {
        "server-1.default": "native",
        "server-2.default": "wasm",
    }
    assert controlled.condition(NAME, "Compiled")["reason"] != "Warned"
    codes = outcomes(echo, MOST_TALLIED)
    assert codes == {"OK": MOST_TALLIED}

    def both_know() -> bool:
        found = outcomes(echo, 6)
        codes.update(found)
        return set(found) == {EXCEEDED}

    await_("each replica knows what both have let pass", both_know, 60)
    assert codes["OK"] < 2 * MOST_TALLIED, "so many pass where each has its own"
    instances = store.says(SECOND, "ZCARD", f"{{appnet:{SCOPE}/tally}}:passed:instances")
    assert instances in {2, 3}  # the main thread of an Envoy has a machine, too
