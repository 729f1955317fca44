"""Kubernetes manifests: the application's own, and what gives its processors their artifacts, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from appnet.application.manifest import label_value, object_name
from appnet.application.model import Side
from appnet.compile.cluster import by_processor, problems
from appnet.compile.pipeline import Version
from appnet.deploy.kubernetes.names import MANAGED_BY
from appnet.deploy.kubernetes.rollouts import APPLICATION, VERSION
from appnet.diagnostics.diagnostic import DiagnosticError, Severity
from appnet.processors.artifact import Artifact
from appnet.processors.processor import ClusterObjects, Object
from appnet.system.address import Address

_OF_NO_NAMESPACE = frozenset(
    {
        *("Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "GatewayClass", "IngressClass"),
        *("PersistentVolume", "PriorityClass", "StorageClass"),
    }
)
"""Kinds of objects that are in none. There are more; Kubernetes takes the namespace from these."""


@dataclass(frozen=True)
class ManifestSettings:
    """``replicas``: pods of each service, where not as written. ``collector``: where elements' records go."""

    replicas: int | None = None
    collector: Address | None = None


def manifests(version: Version, settings: ManifestSettings) -> dict[str, list[Object]]:
    """The objects by the name of their file; files are to be applied in the order of their names.

    What judges calls comes before the application, so that no pod begins without it; the server's before the client's.
    Raises `DiagnosticError` where processors cannot be told what to do.
    """
    writer = _Writer(version, settings)
    writer.check()
    return writer.files()


class _Writer:
    def __init__(self, version: Version, settings: ManifestSettings) -> None:
        self._labels = {
            MANAGED_BY: "appnet",
            APPLICATION: label_value(version.application.application.name),
            VERSION: version.id,
        }
        self._artifacts = version.artifacts
        self._application = version.application.application
        self._manifest = version.application.manifest
        self._settings = settings
        text = self._application.manifest.text()
        self._objects = [_in_namespace(it) for document in yaml.safe_load_all(text) for it in _flat(document)]

    def check(self) -> None:
        wrong = [it for it in problems(self._artifacts, self._manifest) if it.severity is Severity.ERROR]
        if wrong:
            raise DiagnosticError(wrong)

    def files(self) -> dict[str, list[Object]]:
        for name in dict.fromkeys(it.service for it in self._artifacts):
            for deployment in self._behind(name):
                for objects, artifacts in by_processor(self._artifacts):
                    objects.set_up(deployment["spec"]["template"], [it for it in artifacts if it.service == name])
        if self._settings.replicas is not None:
            self._set_replicas(self._settings.replicas)
        namespaces = [it for it in self._objects if it.get("kind") == "Namespace"]
        files: dict[str, list[Object]] = {"00-namespaces": namespaces}
        for name, found in (*self._shared(), *self._chains("30", Side.SERVER), *self._chains("40", Side.CLIENT)):
            files.setdefault(name, []).append(found)
        files["50-application"] = [it for it in self._objects if it not in namespaces]
        return {f"{name}.yaml": objects for name, objects in sorted(files.items()) if objects}

    def _shared(self) -> Iterator[tuple[str, Object]]:
        """What a namespace needs once."""
        for objects, artifacts in by_processor(self._artifacts):
            homes = {it.service: objects.proxies(self._manifest.services[it.service]).namespace for it in artifacts}
            for namespace in sorted(set(homes.values())):
                here = [it for it in artifacts if homes[it.service] == namespace]
                yield from objects.shared(namespace, here, self._manifest.services, self._settings.collector)

    def _chains(self, number: str, side: Side) -> Iterator[tuple[str, Object]]:
        for objects, artifacts in by_processor(self._artifacts):
            chains: dict[str, list[Artifact]] = {}
            for it in artifacts:
                if it.segment.place.side is side:
                    chains.setdefault(f"{it.edge.client}.{it.edge.server}.{it.method}", []).append(it)
            for name, here in chains.items():
                yield (
                    f"{number}-{object_name(name)}.{side.value}",
                    self._chain(objects, here, f"appnet.{name}.{side.value}"),
                )

    def _chain(self, objects: ClusterObjects, artifacts: Sequence[Artifact], name: str) -> Object:
        service, server = (self._manifest.services[it] for it in (artifacts[0].service, artifacts[0].edge.server))
        hosts = self._settings.replicas or self._manifest.replicas(server.name)
        namespace = objects.proxies(service).namespace
        found = objects.chain(artifacts, object_name(name), service, server, namespace, hosts)
        return {**found, "metadata": {**found["metadata"], "labels": self._labels}}

    def _set_replicas(self, replicas: int) -> None:
        """Of services that call others or have elements before them: stores, which only answer, stay as they are."""
        calling = {client.value for client, _ in self._application.edges}
        for name in sorted(calling | {it.edge.server for it in self._artifacts}):
            for deployment in self._behind(name):
                deployment["spec"]["replicas"] = replicas

    def _behind(self, service: str) -> Iterator[Object]:
        """The Deployments whose pods the service selects."""
        selector = self._manifest.services[service].selector.items()
        for it in self._objects:
            labels = _at(it, "spec", "template", "metadata", "labels") if it.get("kind") == "Deployment" else {}
            if selector and selector <= labels.items():
                yield it


def _flat(document: Any) -> list[Object]:
    """The objects in a document, those in a ``List`` one by one."""
    if not isinstance(document, dict):
        return []
    items = document.get("items")
    return [it for it in items if isinstance(it, dict)] if isinstance(items, list) else [document]


def _in_namespace(object_: Object) -> Object:
    """The object in the namespace that AppNet takes it to be in.

    Where kubectl is told another one, it refuses, rather than put the application where no proxy judges it.
    """
    if object_.get("kind") in _OF_NO_NAMESPACE:
        return object_
    metadata = _at(object_, "metadata")
    named = {"name": metadata["name"]} if "name" in metadata else {}
    return {**object_, "metadata": {**named, "namespace": "default", **metadata}}


def _at(object_: Any, *keys: str) -> Object:
    """The mapping at the end of the keys; an empty one where there is none."""
    for key in keys:
        object_ = object_.get(key) if isinstance(object_, dict) else None
    return object_ if isinstance(object_, dict) else {}
