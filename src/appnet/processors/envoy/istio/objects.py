"""What Istio is told so that its proxies run chains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from appnet.application.manifest import Service
from appnet.application.model import Side
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.cluster import cluster_delivery
from appnet.processors.envoy.istio.checks import sidecar_problems, waypoint_problems
from appnet.processors.envoy.istio.envoy_filters import chain_object, entry_object, telemetry_filter
from appnet.processors.envoy.istio.pods import Wants, is_native, loader_map, set_up_proxy, waypoint_map
from appnet.processors.envoy.istio.spots import (
    Spot,
    of_gateways,
    sidecar_spot,
    waypoint_name,
    waypoint_namespace,
    waypoint_spot,
)
from appnet.processors.options import ChainOptions
from appnet.processors.processor import ControlPlane, Delivery, Entry, Object, Proxies, Serving
from appnet.system.address import Address


class _IstioObjects(ABC):
    """EnvoyFilters, and the loader as a ConfigMap."""

    protocol = "ECDS"
    beside = True
    processor: str
    kinds: Sequence[str] = ("envoyfilters.networking.istio.io",)
    cannot_say = frozenset({Need.ROUTE, Need.SHARED_STATE, Need.MERGED_STATE})
    """`Need.ROUTE` needs clusters that know hosts by number; Istio makes them. A store has a password, which is nothing
    for objects that many may read."""
    can_say = frozenset({Need.SHARED_STATE, Need.MERGED_STATE})

    @abstractmethod
    def spot(self, side: Side, service: Service, server: Service) -> Spot:
        """Where in the proxies filters stand."""

    def chain(
        self, artifacts: Sequence[Artifact], name: str, service: Service, server: Service, namespace: str, hosts: int
    ) -> Object:
        """The EnvoyFilter of a chain's artifacts on one side."""
        first = artifacts[0]
        spot = self.spot(first.segment.place.side, service, server)
        node, limits = f"{service.name}-{self.processor}", first.limits
        told = (service.name, node, "", limits.max_message, hosts)
        options = ChainOptions(*told, end=first.end, traces=limits.traced_share)
        return chain_object(artifacts, name, namespace, spot, options)

    def entry(self, entry: Entry, control: ControlPlane) -> Object:
        """The EnvoyFilter that has proxies ask the control plane for the filters of a chain on one side."""
        return entry_object(entry, self.spot(entry.side, entry.service, entry.server), control)

    def delivery(self, serving: Serving) -> AbstractAsyncContextManager[Delivery]:
        """A server of filter configurations, a stream each. Where records go, `shared` says."""
        return cluster_delivery(serving)


class SidecarObjects(_IstioObjects):
    """For the sidecars of pods."""

    processor = "sidecar"
    name = "Istio sidecars"
    preparation = (
        "Istio must inject sidecars into the application's pods: "
        "`kubectl label namespace default istio-injection=enabled`."
    )

    def spot(self, side: Side, service: Service, server: Service) -> Spot:
        """In the pods of the service."""
        return sidecar_spot(side, service, server)

    def shared(
        self,
        namespace: str,
        artifacts: Sequence[Artifact],
        services: Mapping[str, Service],  # noqa: ARG002
        collector: Address | None,
        control: ControlPlane | None = None,  # noqa: ARG002
    ) -> Iterator[tuple[str, Object]]:
        """What a namespace needs once."""
        if collector is not None:
            yield "10-telemetry", telemetry_filter("appnet-telemetry", namespace, collector, {}, "SIDECAR_OUTBOUND")
        if any(is_native(it) for it in artifacts):
            yield "20-loader", loader_map(namespace)

    def proxies(self, service: Service) -> Proxies:
        """In the pods of the service."""
        return Proxies(service.namespace, {name: str(it) for name, it in service.selector.items()})

    def problems(self, artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterable[Diagnostic]:
        """What stands in the way of these artifacts."""
        return sidecar_problems(artifacts, services)

    def native(self, namespace: str, control: ControlPlane) -> Iterator[Object]:
        """The loader, and annotations that mount it."""
        yield loader_map(namespace)
        template: Object = {}
        set_up_proxy(template, Wants(loader=True, one_worker=False), control)
        yield template

    def set_up(self, template: Object, artifacts: Sequence[Artifact], control: ControlPlane | None = None) -> None:
        """Has the sidecars of a pod template run these artifacts."""
        set_up_proxy(template, Wants.of(artifacts), control)


class WaypointObjects(_IstioObjects):
    """For the Gateways that calls pass on their way to a service: all of a chain is in the called one's."""

    processor = "ambient"
    name = "Istio waypoints"
    preparation = (
        "Istio must run in ambient mode, and calls pass a waypoint: `kubectl label namespace default "
        "istio.io/dataplane-mode=ambient`, then `istioctl waypoint apply --enroll-namespace`. For native modules, and "
        "where elements need a single worker, the waypoint needs more, which `kubectl patch gateway waypoint --type "
        'merge -p \'{"spec": {"infrastructure": {"parametersRef": {"group": "", "kind": "ConfigMap", "name": '
        '"appnet-waypoint"}}}}\'` gives it.'
    )

    def spot(self, side: Side, service: Service, server: Service) -> Spot:  # noqa: ARG002
        """In the waypoint of the called service."""
        return waypoint_spot(waypoint_name(server), server)

    def proxies(self, service: Service) -> Proxies:
        """The waypoint's, which Istio makes of a Gateway, and which run as the account of its name."""
        name = waypoint_name(service)
        return Proxies(waypoint_namespace(service), {"gateway.networking.k8s.io/gateway-name": name}, frozenset({name}))

    def problems(self, artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterable[Diagnostic]:
        """What stands in the way of these artifacts."""
        return waypoint_problems(artifacts, services)

    def shared(
        self,
        namespace: str,
        artifacts: Sequence[Artifact],
        services: Mapping[str, Service],
        collector: Address | None,
        control: ControlPlane | None = None,
    ) -> Iterator[tuple[str, Object]]:
        """What a namespace needs once; also what its Gateways name to get it into their pods."""
        if collector is not None:
            gateways = of_gateways(sorted({waypoint_name(services[it.service]) for it in artifacts}))
            name, context = "appnet-telemetry-waypoints", "SIDECAR_INBOUND"
            yield "10-telemetry", telemetry_filter(name, namespace, collector, gateways, context)
        if any(is_native(it) for it in artifacts):
            yield "20-loader", loader_map(namespace)
        wanted = waypoint_map(namespace, Wants.of(artifacts), control)
        if wanted is not None:
            yield "20-loader", wanted

    def native(self, namespace: str, control: ControlPlane) -> Iterator[Object]:
        """The loader, and what Istio merges into the Deployments of Gateways that name it."""
        yield loader_map(namespace)
        wanted = waypoint_map(namespace, Wants(loader=True, one_worker=False), control)
        assert wanted is not None
        yield wanted
        yield {}

    def set_up(self, template: Object, artifacts: Sequence[Artifact], control: ControlPlane | None = None) -> None:
        """Nothing: pods of the application have no proxy."""
