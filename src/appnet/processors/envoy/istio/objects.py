"""What Istio is told so that its sidecars run chains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from appnet.application.manifest import Service
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.istio.checks import problems
from appnet.processors.envoy.istio.envoy_filters import (
    chain_object,
    is_native,
    loader_map,
    set_up_proxy,
    telemetry_filter,
)
from appnet.processors.processor import Object
from appnet.system.address import Address


class IstioObjects:
    """EnvoyFilters, and the loader as a ConfigMap."""

    name = "Istio sidecars"
    preparation = (
        "Istio must inject sidecars into the application's pods: "
        "`kubectl label namespace default istio-injection=enabled`."
    )
    kinds: Sequence[str] = ("envoyfilters.networking.istio.io",)
    cannot_say = frozenset({Need.ROUTE, Need.DELAY})
    """Both need clusters and routes of their own shape."""

    def problems(self, artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterable[Diagnostic]:
        """What stands in the way of these artifacts."""
        return problems(artifacts, services)

    def shared(
        self, namespace: str, artifacts: Sequence[Artifact], collector: Address | None
    ) -> Iterator[tuple[str, Object]]:
        """What a namespace needs once."""
        if collector is not None:
            yield "10-telemetry", telemetry_filter(namespace, collector)
        if any(is_native(it) for it in artifacts):
            yield "20-loader", loader_map(namespace)

    def chain(
        self, artifacts: Sequence[Artifact], name: str, service: Service, server: Service, namespace: str, hosts: int
    ) -> Object:
        """The EnvoyFilter of a chain's artifacts on one side."""
        return chain_object(artifacts, name, service, server, namespace, hosts)

    def set_up(self, template: Object, artifacts: Sequence[Artifact]) -> None:
        """Has the sidecars of a pod template run these artifacts."""
        set_up_proxy(template, artifacts)
