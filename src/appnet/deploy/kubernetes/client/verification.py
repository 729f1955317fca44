"""What a cluster has of what AppNet needs: versions, the definition, a controller, Istio and its modes, rights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from appnet.deploy.kubernetes.client.cluster import (
    Cluster,
    ClusterError,
    ForbiddenError,
    MissingError,
    UnknownKindError,
)
from appnet.deploy.kubernetes.client.configurations import every
from appnet.deploy.kubernetes.client.waiting import controller
from appnet.deploy.kubernetes.definition import GROUP, NAME, PLURAL, VERSION

_T = TypeVar("_T")

_OLDEST_MINOR = 29
"""Of Kubernetes 1: the definition's rules need what came with it."""
_NATIVE_MINOR = 31
"""Of Istio 1: the first whose proxies open dynamic modules."""
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_RIGHTS = {
    "see AppNetConfigs": (GROUP, PLURAL, ("get", "list")),
    "write AppNetConfigs": (GROUP, PLURAL, ("create", "patch", "update", "delete")),
    "see earlier versions": ("apps", "controllerrevisions", ("list",)),
}
_INSTALL = "make install, make deploy, or the Helm chart"
_ISTIO = "install Istio: istioctl install"


@dataclass(frozen=True)
class Finding:
    """Something that is needed. ``found``: what there is; empty where it is missing, and ``remedy`` says how to get it.

    ``optional``: AppNet does without.
    """

    name: str
    found: str
    remedy: str = ""
    optional: bool = False


def findings(cluster: Cluster) -> Iterator[Finding]:
    """All of them. Raises `ClusterError` where the cluster does not answer."""
    yield _kubernetes(cluster)
    yield _definition(cluster)
    yield _controller(cluster)
    yield from _istio(cluster)
    for what, (group, resource, verbs) in _RIGHTS.items():
        refused = [it for it in verbs if not _may(cluster, group, resource, it)]
        remedy = f"ask for the right to {', '.join(refused)} {resource} in {cluster.namespace}"
        yield Finding(f"right to {what}", "" if refused else f"in {cluster.namespace}", remedy)


def _kubernetes(cluster: Cluster) -> Finding:
    version = cluster.get("/version")
    minor = int(re.sub(r"\D.*", "", str(version["minor"])) or 0)
    new = (version["major"], minor >= _OLDEST_MINOR) == ("1", True)
    told = f"{version['gitVersion']} at {cluster.server}"
    return Finding("Kubernetes", told if new else "", f"it is {told}; AppNet needs 1.{_OLDEST_MINOR} or newer")


def _definition(cluster: Cluster) -> Finding:
    title = f"definition {NAME}"
    served = _answer(lambda: cluster.get(f"/apis/{GROUP}/{VERSION}")["resources"])
    if served is None:
        return Finding(title, "", _INSTALL)
    if PLURAL not in {it["name"] for it in served}:
        return Finding(title, "", f"{VERSION} is not served: {_INSTALL}")
    return Finding(title, f"{VERSION}, served")


def _controller(cluster: Cluster) -> Finding:
    holder = controller(cluster)
    found = "unknown: you may not read its Lease" if holder is None else holder
    return Finding("controller", found, "make run or make deploy starts one")


def _istio(cluster: Cluster) -> Iterator[Finding]:
    kinds = _answer(lambda: cluster.get("/apis/networking.istio.io/v1alpha3")["resources"]) or []
    has = "envoyfilters" in {it["name"] for it in kinds}
    version = _istiod(cluster)
    yield Finding("Istio", f"EnvoyFilters, {version}" if has else "", _ISTIO)
    waypoints = _answer(lambda: cluster.get("/apis/gateway.networking.k8s.io/v1/gateways")["items"]) or []
    number = sum(it.get("spec", {}).get("gatewayClassName") == "istio-waypoint" for it in waypoints)
    ztunnel = _answer(lambda: cluster.get("/apis/apps/v1/namespaces/istio-system/daemonsets/ztunnel"))
    ambient = ", ".join(["ztunnel"] * (ztunnel is not None) + [f"{number} waypoints"] * bool(number))
    remedy = "only processors: [ambient] needs it: istioctl install --set profile=ambient"
    yield Finding("ambient mode", ambient, remedy, optional=True)
    yield Finding("proxies", _proxies(cluster), "none runs an AppNetConfig's version yet", optional=True)


def _istiod(cluster: Cluster) -> str:
    """Its version, and what proxies of that can do."""
    try:
        found = cluster.get("/apis/apps/v1/namespaces/istio-system/deployments/istiod")
    except MissingError:
        return "no Deployment istiod in istio-system"
    except ForbiddenError:
        return "you may not read the Deployment of istiod"
    images = [str(it["image"]) for it in found["spec"]["template"]["spec"]["containers"]]
    version = next((it.rpartition(":")[2] for it in images if ":" in it.rpartition("/")[2]), "")
    minor = re.match(r"1\.(\d+)", version)
    if minor is None:
        return f"istiod {version}".strip()
    native = int(minor[1]) >= _NATIVE_MINOR
    return f"istiod {version}, whose proxies {'open native modules' if native else 'run only wasm modules'}"


def _proxies(cluster: Cluster) -> str:
    """What the controller says of the proxies that AppNetConfigs are meant for: how many run what, and why."""
    try:
        bodies = every(cluster, None)
    except ClusterError:
        bodies = _answer(lambda: every(cluster, cluster.namespace)) or []
    seen = {
        it["name"]: (it.get("processor", ""), it.get("target", ""), it.get("why", ""))
        for body in bodies
        for it in body.get("status", {}).get("proxies") or ()
    }
    counted = Counter(seen.values())
    return "; ".join(
        f"{number} {processor}, {target}{f' ({why})' if why else ''}"
        for (processor, target, why), number in sorted(counted.items())
    )


def _may(cluster: Cluster, group: str, resource: str, verb: str) -> bool:
    attributes = {"namespace": cluster.namespace, "group": group, "resource": resource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return bool(cluster.send("POST", _REVIEWS, review)["status"]["allowed"])


def _answer(ask: Callable[[], _T]) -> _T | None:
    """None where it is not there, or may not be seen."""
    try:
        return ask()
    except (MissingError, UnknownKindError, ForbiddenError):
        return None
