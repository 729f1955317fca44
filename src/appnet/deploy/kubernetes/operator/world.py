"""What the cluster holds, as its watchers saw it last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appnet.deploy.kubernetes.definition import GROUP, PLURAL, VERSION
from appnet.deploy.kubernetes.names import CONTROLLER, MANAGED_BY

Object = Mapping[str, Any]
"""A Kubernetes object, as its API server sends it."""

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Kind:
    """A kind of object that is watched. ``kept``: what is remembered of one; None: nothing."""

    group: str
    version: str
    plural: str
    kept: Callable[[Object], Any]


@dataclass(frozen=True)
class Workload:
    """A pod, or what stands for one. ``judged``: it has a proxy of the mesh beside its program."""

    name: str
    labels: Mapping[str, str]
    account: str
    judged: bool


def _whole(body: Object) -> Object:
    return body


def _pod(body: Object) -> Workload | None:
    if body.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return None
    spec, metadata = body.get("spec", {}), body["metadata"]
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    judged = any(it.get("name") == "istio-proxy" for it in containers)
    return Workload(metadata["name"], metadata.get("labels", {}), spec.get("serviceAccountName", "default"), judged)


def _workload_entry(body: Object) -> Workload:
    spec, metadata = body.get("spec", {}), body["metadata"]
    labels = {**metadata.get("labels", {}), **spec.get("labels", {})}
    return Workload(metadata["name"], labels, spec.get("serviceAccount", "default"), judged=True)


def _ours(body: Object) -> Object | None:
    """An object whose label somebody changed is looked for, and made again."""
    return body if body["metadata"].get("labels", {}).get(MANAGED_BY) == CONTROLLER else None


def _version(body: Object) -> str:
    return str(body["metadata"].get("resourceVersion", ""))


CONFIGURATIONS = Kind(GROUP, VERSION, PLURAL, _whole)
SERVICES = Kind("", "v1", "services", _whole)
CONFIG_MAPS = Kind("", "v1", "configmaps", _version)
PODS = Kind("", "v1", "pods", _pod)
WORKLOAD_ENTRIES = Kind("networking.istio.io", "v1", "workloadentries", _workload_entry)
GATEWAYS = Kind("gateway.networking.k8s.io", "v1", "gateways", _whole)
FILTERS = Kind("networking.istio.io", "v1alpha3", "envoyfilters", _ours)

KINDS = (CONFIGURATIONS, SERVICES, CONFIG_MAPS, PODS, WORKLOAD_ENTRIES, GATEWAYS, FILTERS)


class World:
    """What is remembered of each object, by its kind and key.

    Watchers tell of an object in order, but not of two: that one is gone may be told after what was made in its place,
    which has the same name and another uid.
    """

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, dict[str, Any]]] = {it.plural: {} for it in KINDS}

    def saw(self, kind: Kind, body: Object) -> None:
        """Remembers the object as it is now."""
        kept = kind.kept(body)
        if kept is None:
            self.lost(kind, body)
        else:
            self._objects[kind.plural].setdefault(key_of(body), {})[_uid(body)] = kept

    def lost(self, kind: Kind, body: Object) -> None:
        """Forgets the object, but not another of its name."""
        objects, key = self._objects[kind.plural], key_of(body)
        there = objects.get(key, {})
        there.pop(_uid(body), None)
        if not there:
            objects.pop(key, None)

    def one(self, kind: Kind, key: Key) -> Any | None:
        """The one of this key; None where there is none."""
        there = self._objects[kind.plural].get(key)
        return _newest(there) if there else None

    def configuration(self, key: Key) -> Object:
        """The AppNetConfig of this key, which has to be there."""
        found: Object = _newest(self._objects[CONFIGURATIONS.plural][key])
        return found

    def inside(self, kind: Kind, namespace: str) -> Iterator[tuple[str, Any]]:
        """Those of a namespace, by name, in the order of their names."""
        found = ((key[1], _newest(it)) for key, it in self._objects[kind.plural].items() if key[0] == namespace)
        return iter(sorted(found, key=lambda it: it[0]))

    def behind(self, namespace: str, selector: Mapping[str, object]) -> list[Workload]:
        """The pods, and what stands for pods, that the labels select; none for no labels."""
        wanted = {key: str(value) for key, value in selector.items()}.items()
        every = (it for kind in (PODS, WORKLOAD_ENTRIES) for _, it in self.inside(kind, namespace))
        return [it for it in every if wanted and wanted <= it.labels.items()]


def _uid(body: Object) -> str:
    return str(body["metadata"]["uid"])


def _newest(by_uid: dict[str, Any]) -> Any:
    return by_uid[next(reversed(by_uid))]


def key_of(body: Object) -> Key:
    """Namespace and name of an object."""
    metadata = body["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])
