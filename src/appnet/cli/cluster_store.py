"""The store of an AppNetConfig in a cluster, as the controller tells it to proxies."""

from __future__ import annotations

from appnet.application.model import StateStore
from appnet.cli.cluster import cluster_of
from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError, MissingError
from appnet.deploy.kubernetes.client.configurations import one
from appnet.deploy.kubernetes.store_secret import PASSWORD, password_in


def store_in_cluster(name: str, namespace: str | None) -> tuple[StateStore, str]:
    """What the AppNetConfig says of its store, and the password in its Secret; empty where it names none. Ends the
    command where these are not there."""
    with cluster_of(namespace) as cluster:
        state = one(cluster, name)["spec"].get("state") or {}
        if not state.get("store"):
            told = f"the AppNetConfig {name} in namespace {cluster.namespace} names no store"
            raise ClusterError(f"{told}: it has no `state.store`", wrong_input=True)
        store = StateStore(state["store"], state.get("prefix", StateStore().prefix), secret=state.get("secret", ""))
        return store, _password(cluster, store.secret) if store.secret else ""


def _password(cluster: Cluster, secret: str) -> str:
    try:
        found = cluster.get(f"/api/v1/namespaces/{cluster.namespace}/secrets/{secret}")
    except MissingError:
        told = f"no Secret {secret} in namespace {cluster.namespace}, which the AppNetConfig names"
        raise ClusterError(f"{told}: make it, or name another as `state.secret`", wrong_input=True) from None
    password = password_in(found.get("data") or {})
    if not password:
        told = f"the Secret {secret} in namespace {cluster.namespace} has no text under `{PASSWORD}`"
        raise ClusterError(f"{told}: put the store's password there", wrong_input=True)
    return password
