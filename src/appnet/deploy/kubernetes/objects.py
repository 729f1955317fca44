"""Kubernetes manifests: the application's own, and what gives its sidecars their modules, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from appnet.application.model import Side
from appnet.compile.build import BuiltApplication, Module
from appnet.processors.envoy.build import Target
from appnet.processors.envoy.istio.checks import check_sidecars
from appnet.processors.envoy.istio.envoy_filters import (
    Object,
    chain_filter,
    loader_map,
    object_name,
    set_up_proxy,
    telemetry_filter,
)
from appnet.system.address import Address


@dataclass(frozen=True)
class ManifestSettings:
    """``replicas``: pods of each service, where not as written. ``collector``: where elements' records go."""

    replicas: int | None = None
    collector: Address | None = None


def manifests(built: BuiltApplication, settings: ManifestSettings) -> dict[str, list[Object]]:
    """The objects by the name of their file; files are to be applied in the order of their names.

    What judges calls comes before the application, so that no pod begins without it; the server's before the client's.
    Raises `DiagnosticError` where sidecars cannot be told what to do.
    """
    check_sidecars(built)
    return _Writer(built, settings).files()


class _Writer:
    def __init__(self, built: BuiltApplication, settings: ManifestSettings) -> None:
        self._modules = built.modules
        self._application = built.compiled.application
        self._manifest = self._application.manifest
        self._settings = settings
        text = self._manifest.source.text()
        self._objects = [it for document in yaml.safe_load_all(text) for it in _flat(document)]

    def files(self) -> dict[str, list[Object]]:
        for name in dict.fromkeys(it.service for it in self._modules):
            for deployment in self._behind(name):
                set_up_proxy(deployment["spec"]["template"], [it for it in self._modules if it.service == name])
        native = {it.service for it in self._modules if it.code.target is Target.NATIVE}
        if self._settings.replicas is not None:
            self._set_replicas(self._settings.replicas)
        namespaces = [it for it in self._objects if it.get("kind") == "Namespace"]
        files = {
            "00-namespaces": namespaces,
            "10-telemetry": list(self._telemetry()),
            "20-loader": [loader_map(it) for it in sorted({self._namespace(name) for name in native})],
            **dict(self._chains("30", Side.SERVER)),
            **dict(self._chains("40", Side.CLIENT)),
            "50-application": [it for it in self._objects if it not in namespaces],
        }
        return {f"{name}.yaml": objects for name, objects in sorted(files.items()) if objects}

    def _telemetry(self) -> Iterator[Object]:
        if self._settings.collector is not None:
            for it in sorted({self._namespace(it.service) for it in self._modules}):
                yield telemetry_filter(it, self._settings.collector)

    def _chains(self, number: str, side: Side) -> Iterator[tuple[str, list[Object]]]:
        chains: dict[tuple[str, str, str], list[Module]] = {}
        for it in self._modules:
            if it.segment.place.side is side:
                chains.setdefault((it.edge.client, it.edge.server, it.method), []).append(it)
        for (client, server, method), modules in chains.items():
            service = modules[0].service
            hosts = self._settings.replicas or self._manifest.replicas(server)
            services = self._manifest.services[service], self._manifest.services[server]
            found = chain_filter(modules, *services, self._namespace(service), hosts)
            yield f"{number}-{object_name(f'{client}.{server}.{method}')}.{side.value}", [found]

    def _set_replicas(self, replicas: int) -> None:
        """Of services that call others or have elements before them: stores, which only answer, stay as they are."""
        calling = {client.value for client, _ in self._application.application.edges}
        for name in sorted(calling | {it.edge.server for it in self._modules}):
            for deployment in self._behind(name):
                deployment["spec"]["replicas"] = replicas

    def _behind(self, service: str) -> Iterator[Object]:
        """The Deployments whose pods the service selects."""
        selector = self._manifest.services[service].selector.items()
        for it in self._objects:
            labels = _at(it, "spec", "template", "metadata", "labels") if it.get("kind") == "Deployment" else {}
            if selector and selector <= labels.items():
                yield it

    def _namespace(self, service: str) -> str:
        """The namespace that the Service is written to be in; empty for the one that kubectl is told."""
        written = (_at(it, "metadata") for it in self._objects if it.get("kind") == "Service")
        return next((str(it.get("namespace", "")) for it in written if it.get("name") == service), "")


def _flat(document: Any) -> list[Object]:
    """The objects in a document, those in a ``List`` one by one."""
    if not isinstance(document, dict):
        return []
    items = document.get("items")
    return [it for it in items if isinstance(it, dict)] if isinstance(items, list) else [document]


def _at(object_: Any, *keys: str) -> Object:
    """The mapping at the end of the keys; an empty one where there is none."""
    for key in keys:
        object_ = object_.get(key) if isinstance(object_, dict) else None
    return object_ if isinstance(object_, dict) else {}
