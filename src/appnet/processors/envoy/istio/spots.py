"""Where in Istio's proxies the filters of a chain stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appnet.application.manifest import Service
from appnet.application.model import Side
from appnet.processors.envoy.istio.checks import USE_WAYPOINT, http_ports
from appnet.processors.processor import Object


@dataclass(frozen=True)
class Spot:
    """Some of the places that an EnvoyFilter can name, in its own words.

    ``selection``: what its ``spec`` has, so that it is for these proxies alone. ``listeners`` and ``routes`` are what
    its patches match. ``hosts``: listeners are there for more hosts than the called one, whose routes these are; None:
    for that one alone.
    """

    context: str
    selection: Object
    listeners: Sequence[Object]
    routes: Sequence[Object]
    hosts: Sequence[Object] | None = None


def sidecar_spot(side: Side, service: Service, server: Service) -> Spot:
    """In the sidecars of the pods of ``service``, on calls to ``server``.

    What leaves a client passes a listener for each port, whatever service it goes to, and then the routes of the
    called host. What arrives at a server is all for it.
    """
    selection = {"workloadSelector": {"labels": dict(service.selector)}}
    if side is Side.SERVER:
        return Spot("SIDECAR_INBOUND", selection, [{}], [{}])
    ports = http_ports(server)
    # By the name alone: where a port does not say what it speaks, its routes are not named by the port's number.
    hosts = [{"vhost": {"name": f"{host_of(server)}:{it}"}} for it in ports]
    return Spot("SIDECAR_OUTBOUND", selection, [{"portNumber": it} for it in ports], hosts, hosts)


def waypoint_spot(waypoint: str, server: Service) -> Spot:
    """In the proxies of a Gateway of this name, on calls to ``server``, whoever makes them.

    A waypoint has more listeners and filter chains: for tunnels, and for calls to other services and to single pods.
    """
    selection = of_gateways([waypoint])
    names = [f"inbound-vip|{it}|http|{host_of(server)}" for it in http_ports(server)]
    listeners = [{"name": "main_internal", "filterChain": {"name": it}} for it in names]
    return Spot("SIDECAR_INBOUND", selection, listeners, [{"name": it} for it in names])


def of_gateways(names: Iterable[str]) -> Object:
    """Selects the proxies of these Gateways in an object's namespace; those without are not for waypoints."""
    return {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": it} for it in names]}


def waypoint_name(service: Service) -> str:
    """The Gateway that calls of the service pass; Istio's usual one where nobody says."""
    return str(service.labels.get(USE_WAYPOINT, "waypoint"))


def waypoint_namespace(service: Service) -> str:
    """The namespace of that Gateway."""
    return str(service.labels.get(f"{USE_WAYPOINT}-namespace", service.namespace))


def host_of(service: Service) -> str:
    """What Istio knows the service by."""
    return f"{service.name}.{service.namespace}.svc.cluster.local"
