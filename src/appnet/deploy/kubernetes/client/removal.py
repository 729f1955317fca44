"""Removes AppNet from a cluster: all that it made, in an order that keeps calls going, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from appnet.deploy.kubernetes.client.cluster import (
    MERGE,
    Cluster,
    ClusterError,
    MissingError,
    Object,
    UnknownKindError,
    configurations_path,
)
from appnet.deploy.kubernetes.client.waiting import await_gone, controller
from appnet.deploy.kubernetes.definition import NAME
from appnet.deploy.kubernetes.names import CONTROLLER, FINALIZER, LEASE_PATH, MANAGED_BY, SYSTEM

_MADE_BY_CONTROLLER = f"{MANAGED_BY}={CONTROLLER}"
_INSTALLED = "app.kubernetes.io/name=appnet"
_DEFINITION = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_NAMESPACE = f"/api/v1/namespaces/{SYSTEM}"
_APPS = f"/apis/apps/v1/namespaces/{SYSTEM}"
_BATCH = f"/apis/batch/v1/namespaces/{SYSTEM}"
_MADE = {
    "EnvoyFilter": "/apis/networking.istio.io/v1alpha3/envoyfilters",
    "ControllerRevision": "/apis/apps/v1/controllerrevisions",
}
_INSIDE = {
    "Deployment": f"{_APPS}/deployments",
    "Service": f"{_NAMESPACE}/services",
    "ServiceAccount": f"{_NAMESPACE}/serviceaccounts",
    "RoleBinding": f"{_RBAC}/namespaces/{SYSTEM}/rolebindings",
    "Role": f"{_RBAC}/namespaces/{SYSTEM}/roles",
}
_OVER_ALL = {"ClusterRoleBinding": f"{_RBAC}/clusterrolebindings", "ClusterRole": f"{_RBAC}/clusterroles"}
_KEPT_BY_CONTROLLER = {
    "Secret": f"{_NAMESPACE}/secrets/{CONTROLLER}",
    "Lease": LEASE_PATH,
}
_OF_OTHERS = (
    f"{_APPS}/deployments",
    f"{_APPS}/statefulsets",
    f"{_APPS}/daemonsets",
    f"{_BATCH}/jobs",
    f"{_BATCH}/cronjobs",
    f"{_NAMESPACE}/services",
    f"{_NAMESPACE}/configmaps",
    f"{_NAMESPACE}/secrets",
    f"{_NAMESPACE}/persistentvolumeclaims",
)
_OF_EVERY_NAMESPACE = ("kube-root-ca.crt", "istio-ca-root-cert", "istio-ca-crl", "sh.helm.release.")


@dataclass(frozen=True)
class Installed:
    """What there is of AppNet in a cluster: paths by what they are called for people, ``Kind namespace/name``.

    ``configurations``: AppNetConfigs. ``made``: by the controller for them. ``system``: what installed the controller,
    and what it keeps. ``foreign``: what others have in its namespace, for which that stays.
    """

    configurations: Sequence[Object]
    made: Mapping[str, str]
    system: Mapping[str, str]
    foreign: Sequence[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.configurations or self.made or self.system)


def installed(cluster: Cluster) -> Installed:
    """All of it. Raises `ClusterError`, also where one may not see all of it."""
    try:
        configurations = cluster.get(configurations_path())["items"]
    except UnknownKindError:
        configurations = []
    system = dict(_listed(cluster, _INSIDE, by=_INSTALLED))
    system |= {f"{kind} {SYSTEM}/{CONTROLLER}": it for kind, it in _KEPT_BY_CONTROLLER.items() if _there(cluster, it)}
    over_all = _listed(cluster, _OVER_ALL, by=_INSTALLED)
    system |= {name: path for name, path in over_all if path.rpartition("/")[2].startswith("appnet-")}
    if _there(cluster, _DEFINITION):
        system[f"CustomResourceDefinition {NAME}"] = _DEFINITION
    foreign: list[str] = []
    if _there(cluster, _NAMESPACE):
        foreign = sorted(_foreign(cluster, set(system.values())))
        if not foreign:
            system[f"Namespace {SYSTEM}"] = _NAMESPACE
    return Installed(configurations, dict(_listed(cluster, _MADE, by=_MADE_BY_CONTROLLER)), system, foreign)


def _listed(cluster: Cluster, kinds: Mapping[str, str], by: str) -> Iterator[tuple[str, str]]:
    """Objects of these kinds (and where these are) with the label: ``Kind namespace/name``, and the path."""
    for kind, where in kinds.items():
        try:
            items = cluster.get(where, labelSelector=by)["items"]
        except UnknownKindError:  # no Istio, so nothing of it
            continue
        base, _, plural = where.rpartition("/")
        for it in items:
            space, name = it["metadata"].get("namespace"), it["metadata"]["name"]
            inside = f"/namespaces/{space}" if space and "/namespaces/" not in where else ""
            yield f"{kind} {space}/{name}" if space else f"{kind} {name}", f"{base}{inside}/{plural}/{name}"


def _there(cluster: Cluster, path: str) -> bool:
    try:
        cluster.get(path)
    except (MissingError, UnknownKindError):
        return False
    return True


def _foreign(cluster: Cluster, ours: set[str]) -> Iterator[str]:
    """What others have in the controller's namespace, but what every namespace has."""
    for where in _OF_OTHERS:
        for it in cluster.get(where)["items"]:
            name = it["metadata"]["name"]
            if f"{where}/{name}" not in ours and not name.startswith(_OF_EVERY_NAMESPACE):
                yield f"{where.rpartition('/')[2].removesuffix('s')} {name}"


def remove(
    cluster: Cluster, found: Installed, seconds: float, done: Callable[[str], None], waits: Callable[[str], None]
) -> None:
    """Removes it. ``done`` is told what is gone, one by one, and ``waits`` for what it waits. Raises `ClusterError`.

    The controller, where one runs, removes what it made for each AppNetConfig: a proxy's filters go before whom they
    ask. Where none runs, that is done here.
    """
    keys = [(it["metadata"]["namespace"], it["metadata"]["name"]) for it in found.configurations]
    for key in keys:
        cluster.delete(configurations_path(*key))
    alone = not _let_controller(cluster, keys, seconds, waits)
    for name, path in found.made.items():
        if cluster.delete(path) or not alone:
            done(name)
    if alone:
        for it in found.configurations:
            _let_go(cluster, it)
        await_gone(cluster, keys, seconds, waits)
    for space, name in keys:
        done(f"AppNetConfig {space}/{name}")
    for name, path in found.system.items():
        if cluster.delete(path):
            done(name)


def _let_controller(
    cluster: Cluster, keys: Sequence[tuple[str, str]], seconds: float, waits: Callable[[str], None]
) -> bool:
    """Whether a controller has removed what it made for the AppNetConfigs. Raises `ClusterError` for one that works
    and does not come to an end."""
    if controller(cluster):
        try:
            await_gone(cluster, keys, seconds, waits)
        except ClusterError:
            if controller(cluster):
                raise
        else:
            return True
    if keys:
        waits("nobody: no controller runs, so what it made is removed without it")
    return False


def _let_go(cluster: Cluster, body: Object) -> None:
    """Does what the controller would: has the AppNetConfig wait for it no longer."""
    metadata = body["metadata"]
    path = configurations_path(metadata["namespace"], metadata["name"])
    try:
        left = [it for it in cluster.get(path)["metadata"].get("finalizers") or () if it != FINALIZER]
        cluster.send("PATCH", path, {"metadata": {"finalizers": left or None}}, MERGE)
    except MissingError:
        return
