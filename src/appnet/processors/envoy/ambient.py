"""The processor `ambient`: an Envoy that all calls of a service pass, whoever makes them."""

from __future__ import annotations

from collections.abc import Sequence

from appnet.application.model import Side
from appnet.processors.envoy.sidecar import EnvoySidecar
from appnet.processors.processor import ClusterObjects, Mesh

# ruff: noqa: PLC0415 -- as in `sidecar`


class EnvoyWaypoint(EnvoySidecar):
    """The seam, by the same Envoy: in a cluster it is the waypoint of the called service, on one machine it stands
    before each instance of that."""

    name = "ambient"
    sides: Sequence[Side] = (Side.SERVER,)

    def objects(self) -> ClusterObjects:
        """Istio's EnvoyFilters for Gateways."""
        from appnet.processors.envoy.istio.objects import WaypointObjects

        return WaypointObjects()

    def mesh(self) -> Mesh:
        """As of sidecars."""
        from appnet.processors.envoy.istio.objects import WaypointObjects

        return WaypointObjects()


PROCESSOR = EnvoyWaypoint()
